//! The steps of a queue, each as one batch, whether it is committed here or by the writer's thread.

use std::sync::Arc;

use super::apply::{ClaimedTask, Step};
use super::read::Readiness;
use super::renewal::{Hold, Renewals};
use super::{Queue, QueueOptions, Token, check_lease};
use crate::batch::{Batch, Outcome};
use crate::commit::Committed;
use crate::error::Result;
use crate::packed::unpack;
use crate::writer::{Done, Write};

/// What came of a claim.
pub enum Claim {
    /// A task.
    Task(Box<ClaimedTask>),
    /// Tasks have died or were brought back to this clock: there may be others.
    Again,
    /// Nothing was ready, or another worker was first.
    Nothing,
}

impl Queue {
    /// Adds tasks (id, item as one MessagePack value) in one commit, ready `delay_ms` after it. One
    /// whose id exists is left out.
    pub fn push<'a>(
        &'a self,
        tasks: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        delay_ms: u64,
    ) -> Result<()> {
        self.session.commit(&push(&self.name, tasks, delay_ms)?).map(|_| ())
    }

    /// Takes the next task that is ready. Nothing is written where there is none.
    pub fn claim(&self) -> Result<Option<ClaimedTask>> {
        self.session.check_may_commit()?;
        loop {
            let Readiness::Now { clamp } = self.readiness()? else { return Ok(None) };
            match self.commit(claim(self.options, clamp))?.claimed() {
                Claim::Task(task) => return Ok(Some(*task)),
                Claim::Again => {}
                Claim::Nothing => return Ok(None),
            }
        }
    }

    /// Makes the lease end `lease_ms` after now.
    pub fn renew(&self, token: Token, lease_ms: u64) -> Result<()> {
        check_lease(lease_ms)?;
        self.commit(Step::Renew { token, lease_ms }).map(|_| ())
    }

    /// Keeps renewing the lease, from a thread, until the hold is dropped or the lease is lost.
    pub fn hold(&self, token: Token) -> Result<Hold> {
        Renewals::hold(&self.session, &self.name, token, self.options.lease_ms)
    }

    /// Finishes a task.
    pub fn complete(&self, token: Token, result: Option<&[u8]>) -> Result<()> {
        self.commit(Step::Complete { token, result }).map(|_| ())
    }

    /// Gives a task back, to be claimed `retry_in_ms` after now at the earliest.
    pub fn fail(&self, token: Token, error: &str, retry_in_ms: u64) -> Result<()> {
        self.commit(fail(self.options, token, error, retry_in_ms)).map(|_| ())
    }

    /// Puts dead tasks back with a fresh budget of attempts; returns how many.
    pub fn retry_dead(&self) -> Result<u64> {
        Ok(self.commit(Step::RetryDead)?.restored())
    }

    /// Removes every task; returns how many there were.
    pub fn clear(&self) -> Result<u64> {
        Ok(self.commit(Step::Clear)?.removed())
    }

    fn commit(&self, step: Step) -> Result<Committed> {
        self.session.commit(&one(&self.name, step)?)
    }

    /// Leaves a step to the writer's thread; see [`crate::Store::submit`].
    pub fn submit(&self, write: QueueWrite, done: Done) -> Result<()> {
        if let QueueWrite::Renew { lease_ms, .. } = write {
            check_lease(lease_ms)?;
        }
        let (queue, options) = (Arc::clone(&self.name), self.options);
        self.session.submit(write.bytes(), Box::new(Named { queue, options, write }), done)
    }

    /// As [`Queue::claim`], by the writer's thread, once; [`Committed::claimed`] tells what came of
    /// it. With `looks` it looks first, as `claim` does, and returns false where nothing is ready;
    /// without, it sees what was submitted before.
    pub fn submit_claim(&self, looks: bool, done: Done) -> Result<bool> {
        self.session.check_may_commit()?;
        let clamp = match if looks { self.readiness()? } else { Readiness::Now { clamp: true } } {
            Readiness::Now { clamp } => clamp,
            _ => return Ok(false),
        };
        self.submit(QueueWrite::Claim { clamp }, done).map(|()| true)
    }
}

impl Committed {
    /// What came of a claim.
    pub fn claimed(self) -> Claim {
        let is_changed = self.version.is_some();
        match self.outcomes.into_iter().next() {
            Some(Outcome::Claimed(Some(task))) => Claim::Task(task),
            _ if is_changed => Claim::Again,
            _ => Claim::Nothing,
        }
    }
}

/// A [`Token`] to keep.
#[derive(Debug)]
pub struct OwnedToken {
    /// The task's id.
    pub id: String,
    /// The version of the commit that pushed the task.
    pub created: u64,
    /// The fencing token.
    pub attempt: u64,
}

impl OwnedToken {
    /// As the core takes it.
    pub fn token(&self) -> Token<'_> {
        Token { id: &self.id, created: self.created, attempt: self.attempt }
    }
}

/// One step of a queue, with what it writes.
#[derive(Debug)]
pub enum QueueWrite {
    /// As [`Queue::push`].
    Push {
        /// Ids and items: each after its length as a little-endian u32.
        packed: Vec<u8>,
        /// How long they wait.
        delay_ms: u64,
    },
    /// See [`Queue::submit_claim`].
    Claim {
        /// Whether it sees to times that lie too far ahead.
        clamp: bool,
    },
    /// As [`Queue::renew`].
    Renew {
        /// Whose task.
        token: OwnedToken,
        /// How long it stays with its worker.
        lease_ms: u64,
    },
    /// As [`Queue::complete`].
    Complete {
        /// Whose task.
        token: OwnedToken,
        /// MessagePack bytes.
        result: Option<Vec<u8>>,
    },
    /// As [`Queue::fail`].
    Fail {
        /// Whose task.
        token: OwnedToken,
        /// Why.
        error: String,
        /// How long it waits.
        retry_in_ms: u64,
    },
    /// As [`Queue::retry_dead`].
    RetryDead,
    /// As [`Queue::clear`].
    Clear,
}

impl QueueWrite {
    /// Bytes of what it writes.
    fn bytes(&self) -> usize {
        match self {
            QueueWrite::Push { packed, .. } => packed.len(),
            QueueWrite::Complete { result, .. } => result.as_ref().map_or(0, Vec::len),
            QueueWrite::Fail { error, .. } => error.len(),
            _ => 0,
        }
    }
}

/// It has no reference to the store (see namespace/writes.rs).
struct Named {
    queue: Arc<str>,
    options: QueueOptions,
    write: QueueWrite,
}

impl Write for Named {
    fn batch(&self) -> Result<Batch<'_>> {
        let step = match &self.write {
            QueueWrite::Push { packed, delay_ms } => {
                return push(&self.queue, unpack(packed)?, *delay_ms);
            }
            QueueWrite::Claim { clamp } => claim(self.options, *clamp),
            QueueWrite::Renew { token, lease_ms } => {
                Step::Renew { token: token.token(), lease_ms: *lease_ms }
            }
            QueueWrite::Complete { token, result } => {
                Step::Complete { token: token.token(), result: result.as_deref() }
            }
            QueueWrite::Fail { token, error, retry_in_ms } => {
                fail(self.options, token.token(), error, *retry_in_ms)
            }
            QueueWrite::RetryDead => Step::RetryDead,
            QueueWrite::Clear => Step::Clear,
        };
        one(&self.queue, step)
    }
}

fn one<'a>(queue: &'a str, step: Step<'a>) -> Result<Batch<'a>> {
    let mut batch = Batch::new();
    batch.step(queue, step)?;
    Ok(batch)
}

fn push<'a>(
    queue: &'a str,
    tasks: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    delay_ms: u64,
) -> Result<Batch<'a>> {
    let mut batch = Batch::new();
    for (id, item) in tasks {
        batch.push_task(queue, id, item, delay_ms)?;
    }
    Ok(batch)
}

fn claim(options: QueueOptions, clamp: bool) -> Step<'static> {
    let QueueOptions { lease_ms, max_attempts } = options;
    Step::Claim { lease_ms, max_attempts, clamp }
}

fn fail<'a>(options: QueueOptions, token: Token<'a>, error: &'a str, retry_in_ms: u64) -> Step<'a> {
    Step::Fail { token, error, retry_in_ms, max_attempts: options.max_attempts }
}
