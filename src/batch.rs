//! A batch: preconditions and mutations that take effect together or not at all.

use serde_json::{Map, Value};

use crate::commit::Committed;
use crate::error::{Error, Result};
use crate::limits::{
    MAX_BATCH_BYTES, MAX_BATCH_NAMESPACES, MAX_TTL_MS, MAX_VALUE_BYTES, REMOVAL_RESERVE_BYTES,
};
use crate::names::{check_key, check_namespace, check_task_id};
use crate::queue::ClaimedTask;
use crate::queue::apply::Step;

/// What becomes of an entry's time to live when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ttl {
    /// The entry keeps the one it has, if any.
    Keep,
    /// The entry does not expire.
    Never,
    /// The entry is gone this many milliseconds after the commit.
    AfterMs(u64),
}

/// Fields to merge into an entry's metadata; null removes one.
pub type MetadataPatch = Map<String, Value>;

/// What must hold for a batch to be applied.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Precondition<'a> {
    /// An entry is at this version; 0: there is none.
    Entry { namespace: usize, key: &'a str, version: u64 },
    /// The last change of a namespace has this version (0: the namespace is empty), and none of its
    /// entries has expired since `as_of_ms`.
    Namespace { namespace: usize, version: u64, as_of_ms: u64 },
}

/// One change. `namespace` is an index into the batch's namespaces.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mutation<'a> {
    Set {
        namespace: usize,
        key: &'a str,
        value: &'a [u8],
        ttl: Ttl,
        metadata: Option<&'a MetadataPatch>,
    },
    Increment {
        namespace: usize,
        key: &'a str,
        by: f64,
    },
    Delete {
        namespace: usize,
        key: &'a str,
    },
    Clear {
        namespace: usize,
        prefix: &'a str,
    },
    /// Removes an entry whose row in the expiry index is due.
    Expire {
        namespace: usize,
        key: &'a str,
        row_key: &'a [u8],
    },
    /// One step of a queue.
    Queue {
        queue: &'a str,
        step: Step<'a>,
    },
}

/// What one mutation did.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The entry was written.
    Set,
    /// The number after an increment.
    Incremented(f64),
    /// How many live entries, or tasks, were removed.
    Removed(u64),
    /// A step of a queue was taken that either succeeds or fails the batch.
    Stepped,
    /// The task that was claimed, if one was ready.
    Claimed(Option<Box<ClaimedTask>>),
    /// Whether a lease was still held.
    Kept(bool),
    /// How many dead tasks were brought back.
    Restored(u64),
}

impl Committed {
    /// How many live entries, or tasks, were removed.
    pub fn removed(&self) -> u64 {
        self.sum(|outcome| if let Outcome::Removed(count) = outcome { *count } else { 0 })
    }

    /// How many dead tasks were brought back.
    pub fn restored(&self) -> u64 {
        self.sum(|outcome| if let Outcome::Restored(count) = outcome { *count } else { 0 })
    }

    fn sum(&self, count: impl Fn(&Outcome) -> u64) -> u64 {
        self.outcomes.iter().map(count).sum()
    }

    /// The number after an increment.
    pub fn incremented(&self) -> f64 {
        match self.outcomes.first() {
            Some(Outcome::Incremented(sum)) => *sum,
            _ => f64::NAN,
        }
    }
}

/// Preconditions and mutations over at most 100 namespaces.
///
/// ```
/// use commonhold::{Batch, Ttl};
/// let mut batch = Batch::new();
/// let jobs = batch.namespace("jobs")?;
/// batch.require_version(jobs, "job-1", 0)?;
/// batch.set(jobs, "job-1", &[0xc0], Ttl::Never, None)?;
/// # Ok::<(), commonhold::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct Batch<'a> {
    pub(crate) namespaces: Vec<&'a str>,
    pub(crate) preconditions: Vec<Precondition<'a>>,
    pub(crate) mutations: Vec<Mutation<'a>>,
    bytes: usize,
    writes_expiry: bool,
}

impl<'a> Batch<'a> {
    /// An empty batch.
    pub fn new() -> Batch<'a> {
        Batch::default()
    }

    /// The index by which the other methods name a namespace.
    ///
    /// Fails with [`Error::InvalidNamespace`], or [`Error::InvalidOption`] at the 101st.
    pub fn namespace(&mut self, name: &'a str) -> Result<usize> {
        if let Some(index) = self.namespaces.iter().position(|known| *known == name) {
            return Ok(index);
        }
        check_namespace(name)?;
        if self.namespaces.len() == MAX_BATCH_NAMESPACES {
            return Err(Error::InvalidOption(format!(
                "one batch may touch at most {MAX_BATCH_NAMESPACES} namespaces: split it"
            )));
        }
        self.namespaces.push(name);
        Ok(self.namespaces.len() - 1)
    }

    /// Fails the whole batch unless the entry is at `version` (0: unless there is none).
    pub fn require_version(&mut self, namespace: usize, key: &'a str, version: u64) -> Result<()> {
        check_key(key)?;
        self.preconditions.push(Precondition::Entry { namespace, key, version });
        Ok(())
    }

    /// Fails the whole batch unless the last change of the namespace has this version (0: unless
    /// it is empty), and if one of its entries has expired since `as_of_ms`.
    pub(crate) fn require_namespace_version(
        &mut self,
        namespace: usize,
        version: u64,
        as_of_ms: u64,
    ) {
        self.preconditions.push(Precondition::Namespace { namespace, version, as_of_ms });
    }

    /// Writes an entry. `value` is one MessagePack value.
    pub fn set(
        &mut self,
        namespace: usize,
        key: &'a str,
        value: &'a [u8],
        ttl: Ttl,
        metadata: Option<&'a MetadataPatch>,
    ) -> Result<()> {
        check_key(key)?;
        if value.len() > MAX_VALUE_BYTES {
            return Err(Error::ValueTooLarge {
                what: "the value",
                bytes: value.len(),
                limit: MAX_VALUE_BYTES,
            });
        }
        if let Ttl::AfterMs(ms) = ttl
            && (ms == 0 || ms > MAX_TTL_MS)
        {
            return Err(Error::InvalidOption(format!(
                "ttl is between 1 and {MAX_TTL_MS} milliseconds"
            )));
        }
        self.writes_expiry |= matches!(ttl, Ttl::AfterMs(_));
        self.add_bytes(key.len() + value.len())?;
        self.mutations.push(Mutation::Set { namespace, key, value, ttl, metadata });
        Ok(())
    }

    /// Adds to a number; a missing entry counts as 0.
    pub fn increment(&mut self, namespace: usize, key: &'a str, by: f64) -> Result<()> {
        check_key(key)?;
        if !by.is_finite() {
            return Err(Error::InvalidOption("an increment is a finite number".into()));
        }
        self.mutations.push(Mutation::Increment { namespace, key, by });
        Ok(())
    }

    /// Removes an entry.
    pub fn delete(&mut self, namespace: usize, key: &'a str) -> Result<()> {
        check_key(key)?;
        self.mutations.push(Mutation::Delete { namespace, key });
        Ok(())
    }

    /// Removes every entry whose key begins with `prefix` (all, if it is empty).
    pub fn clear(&mut self, namespace: usize, prefix: &'a str) {
        self.mutations.push(Mutation::Clear { namespace, prefix });
    }

    /// Adds a task to a queue. `item` is one MessagePack value.
    pub(crate) fn push_task(
        &mut self,
        queue: &'a str,
        id: &'a str,
        item: &'a [u8],
        delay_ms: u64,
    ) -> Result<()> {
        check_task_id(id)?;
        if delay_ms > MAX_TTL_MS {
            return Err(Error::InvalidOption(format!(
                "a delay is at most {MAX_TTL_MS} milliseconds"
            )));
        }
        self.step(queue, Step::Push { id, item, delay_ms })
    }

    /// Takes a step of a queue. The caller has checked the queue's name.
    pub(crate) fn step(&mut self, queue: &'a str, step: Step<'a>) -> Result<()> {
        let (what, value) = match step {
            Step::Push { id, item, .. } => {
                self.bytes += id.len();
                ("the item", item)
            }
            Step::Complete { result, .. } => ("the result", result.unwrap_or_default()),
            _ => ("", &[][..]),
        };
        if value.len() > MAX_VALUE_BYTES {
            let (bytes, limit) = (value.len(), MAX_VALUE_BYTES);
            return Err(Error::ValueTooLarge { what, bytes, limit });
        }
        self.add_bytes(value.len())?;
        self.mutations.push(Mutation::Queue { queue, step });
        Ok(())
    }

    fn add_bytes(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes;
        if self.bytes <= MAX_BATCH_BYTES {
            return Ok(());
        }
        Err(Error::ValueTooLarge { what: "the batch", bytes: self.bytes, limit: MAX_BATCH_BYTES })
    }

    /// How many bytes beyond its largest size a store may take for the batch. What only removes
    /// needs room to make room. The steps of a queue get half of that: what they write must never
    /// take the room in which the queue is cleared.
    pub(crate) fn reserve_bytes(&self) -> u64 {
        let of = |mutation: &Mutation| match mutation {
            Mutation::Set { .. } | Mutation::Increment { .. } => 0,
            Mutation::Queue { step: Step::Push { .. }, .. } => 0,
            Mutation::Queue { step: Step::Clear, .. } => REMOVAL_RESERVE_BYTES,
            Mutation::Queue { .. } => REMOVAL_RESERVE_BYTES / 2,
            Mutation::Delete { .. } | Mutation::Clear { .. } | Mutation::Expire { .. } => {
                REMOVAL_RESERVE_BYTES
            }
        };
        self.mutations.iter().map(of).min().unwrap_or(REMOVAL_RESERVE_BYTES)
    }

    /// Bytes of the keys and values that the batch writes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether an entry of the batch gets a time to live.
    pub(crate) fn writes_expiry(&self) -> bool {
        self.writes_expiry
    }

    pub(crate) fn expire(&mut self, namespace: usize, key: &'a str, row_key: &'a [u8]) {
        self.mutations.push(Mutation::Expire { namespace, key, row_key });
    }
}
