//! The steps of a queue, inside the write transaction. Each leaves a task claimable or finished.

use std::ops::{Bound, ControlFlow};

use super::read::QueueView;
use super::rows::{
    Order, QueueStats, RowKind, TaskRow, TaskStatus, index_key, queue_prefix, row_key,
};
use crate::apply::Application;
use crate::batch::Outcome;
use crate::environment::lmdb_error;
use crate::error::{Error, Result};
use crate::limits::{MAX_TASK_ERROR_BYTES, QUEUE_ROWS_PER_CLAIM};
use crate::record::seal;

/// One change of a queue.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step<'a> {
    /// Adds a task, unless there is one with this id.
    Push { id: &'a str, item: &'a [u8], delay_ms: u64 },
    /// Takes the next task that is ready, if there is one. `clamp`: sees to times that lie too
    /// far ahead.
    Claim { lease_ms: u64, max_attempts: u32, clamp: bool },
    /// Makes a lease end so long after now.
    Renew { token: Token<'a>, lease_ms: u64 },
    /// Makes a lease end no sooner than so long after now; a lease that is lost is no error.
    Keep { token: Token<'a>, lease_ms: u64 },
    /// Finishes a task.
    Complete { token: Token<'a>, result: Option<&'a [u8]> },
    /// Gives a task back.
    Fail { token: Token<'a>, error: &'a str, retry_in_ms: u64, max_attempts: u32 },
    /// Brings all dead tasks back.
    RetryDead,
    /// Removes every task.
    Clear,
}

/// What a worker holds of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// The task's id.
    pub id: &'a str,
    /// The version of the commit that pushed the task.
    pub created: u64,
    /// The fencing token.
    pub attempt: u64,
}

/// A task that was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedTask {
    /// The task's id.
    pub id: String,
    /// The version of the commit that pushed it: after a `clear` the same id is another task.
    pub created: u64,
    /// Its fencing token: how often it was claimed.
    pub attempt: u64,
    /// The MessagePack bytes of its item.
    pub item: Vec<u8>,
}

impl ClaimedTask {
    /// What its worker shows to renew, complete or fail it.
    pub fn token(&self) -> Token<'_> {
        Token { id: &self.id, created: self.created, attempt: self.attempt }
    }
}

/// The queues that a commit touches.
#[derive(Default)]
pub(crate) struct QueueChanges {
    queues: Vec<Queue>,
    /// Of the next row that the commit puts into an index.
    ordinal: u32,
}

struct Queue {
    name: Box<str>,
    stats: QueueStats,
    /// The first batch that changed it, by its number in the commit.
    changed_by: Option<usize>,
    /// Whether those who wait for the queue must look at it.
    announced: bool,
}

impl Application<'_, '_, '_> {
    /// Applies one step.
    pub fn apply_step(&mut self, queue: &str, step: &Step) -> Result<Outcome> {
        let index = self.queue_index(queue, matches!(step, Step::Clear))?;
        match *step {
            Step::Push { id, item, delay_ms } => {
                self.push(index, id, item, delay_ms).map(|()| Outcome::Stepped)
            }
            Step::Claim { lease_ms, max_attempts, clamp } => {
                if clamp {
                    self.clamp(index)?;
                }
                self.promote(index)?;
                self.claim(index, lease_ms, max_attempts).map(Outcome::Claimed)
            }
            Step::Renew { token, lease_ms } => {
                let task = self.held_task(index, token)?;
                self.renew(index, token.id, task, lease_ms).map(|()| Outcome::Stepped)
            }
            Step::Keep { token, lease_ms } => self.keep(index, token, lease_ms).map(Outcome::Kept),
            Step::Complete { token, result } => {
                self.complete(index, token, result).map(|()| Outcome::Stepped)
            }
            Step::Fail { token, error, retry_in_ms, max_attempts } => {
                self.fail(index, token, error, retry_in_ms, max_attempts).map(|()| Outcome::Stepped)
            }
            Step::RetryDead => self.retry_dead(index).map(Outcome::Restored),
            Step::Clear => self.clear_queue(index).map(Outcome::Removed),
        }
    }

    /// Writes the counts of the queues that changed, and the history. Returns whether any did.
    pub fn finish_queues(&mut self) -> Result<bool> {
        let queues = std::mem::take(&mut self.queues.queues);
        let mut any = false;
        for queue in queues.iter().filter(|queue| queue.changed_by.is_some()) {
            any = true;
            let key = row_key(&queue.name, RowKind::Stats, &[]);
            if queue.stats.total() == 0 {
                self.delete_row(&key)?;
            } else {
                self.put_row(&key, &queue.stats.encode())?;
            }
            if queue.announced {
                self.history.record_queue(self.txn, &queue.name)?;
            }
        }
        Ok(any)
    }

    /// `is_cleared`: counts that cannot be read are counted anew, else nobody could clear it.
    fn queue_index(&mut self, name: &str, is_cleared: bool) -> Result<usize> {
        if let Some(index) = self.queues.queues.iter().position(|queue| &*queue.name == name) {
            return Ok(index);
        }
        let database = self.environment.queues;
        let view = QueueView { database, txn: self.txn, queue: name };
        let stats = match view.stats() {
            Err(Error::Corrupt(_)) if is_cleared => view.count_rows()?,
            stats => stats?,
        };
        let queue = Queue { name: name.into(), stats, changed_by: None, announced: false };
        self.queues.queues.push(queue);
        Ok(self.queues.queues.len() - 1)
    }

    fn queue_name(&self, index: usize) -> &str {
        self.queues.queues.get(index).map_or("", |queue| &queue.name)
    }

    fn view(&self, index: usize) -> QueueView<'_, '_> {
        let database = self.environment.queues;
        QueueView { database, txn: self.txn, queue: self.queue_name(index) }
    }

    fn count(&mut self, index: usize, from: Option<TaskStatus>, to: Option<TaskStatus>) {
        let batch = self.sharing.batch();
        let Some(queue) = self.queues.queues.get_mut(index) else { return };
        queue.changed_by.get_or_insert(batch);
        if let Some(from) = from {
            let count = queue.stats.of(from);
            *count = count.saturating_sub(1);
        }
        if let Some(to) = to {
            *queue.stats.of(to) += 1;
        }
    }

    fn announce(&mut self, index: usize) {
        if let Some(queue) = self.queues.queues.get_mut(index) {
            queue.announced = true;
        }
    }

    fn put_row(&mut self, key: &[u8], payload: &[u8]) -> Result<()> {
        self.writes += 1;
        self.environment
            .queues
            .put(self.txn, key, &seal(key, payload))
            .map_err(|error| lmdb_error("write a queue", error))
    }

    fn delete_row(&mut self, key: &[u8]) -> Result<()> {
        self.writes += 1;
        self.environment
            .queues
            .delete(self.txn, key)
            .map(|_| ())
            .map_err(|error| lmdb_error("write a queue", error))
    }

    /// Puts a task where its new status and time say, and writes its row.
    fn place(
        &mut self,
        index: usize,
        id: &str,
        task: &mut TaskRow,
        status: TaskStatus,
        at_ms: u64,
    ) -> Result<()> {
        task.status = status;
        task.version = self.version;
        task.order = Order { at_ms, version: self.version, ordinal: self.queues.ordinal };
        self.queues.ordinal += 1;
        let key = index_key(self.queue_name(index), status, task.order);
        self.put_row(&key, id.as_bytes())?;
        let key = row_key(self.queue_name(index), RowKind::Task, id.as_bytes());
        self.put_row(&key, &task.encode())
    }

    /// As `place`, for a task that is in the index already.
    fn replace(
        &mut self,
        index: usize,
        id: &str,
        task: &mut TaskRow,
        status: TaskStatus,
        at_ms: u64,
    ) -> Result<()> {
        let before = task.status;
        let key = index_key(self.queue_name(index), before, task.order);
        self.delete_row(&key)?;
        self.place(index, id, task, status, at_ms)?;
        self.count(index, Some(before), Some(status));
        Ok(())
    }

    fn push(&mut self, index: usize, id: &str, item: &[u8], delay_ms: u64) -> Result<()> {
        if self.view(index).task(id)?.is_some() {
            return Ok(());
        }
        let key = row_key(self.queue_name(index), RowKind::Item, id.as_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&key), item).to_le_bytes();
        self.writes += 1;
        self.environment
            .queues
            .put_reserved(self.txn, &key, checksum.len() + item.len(), |space| {
                std::io::Write::write_all(space, &checksum)?;
                std::io::Write::write_all(space, item)
            })
            .map_err(|error| lmdb_error("write a queue", error))?;
        let mut task = TaskRow {
            status: TaskStatus::Pending,
            attempt: 0,
            claims: 0,
            version: self.version,
            created: self.version,
            created_at_ms: self.now_ms,
            order: Order::default(),
            granted_ms: delay_ms,
            claimed_by: String::new(),
            error: None,
            has_result: false,
        };
        let (status, at_ms) = self.waiting(delay_ms);
        self.place(index, id, &mut task, status, at_ms)?;
        self.count(index, None, Some(status));
        self.announce(index);
        Ok(())
    }

    /// Where a task waits that may be claimed so long after now.
    fn waiting(&self, delay_ms: u64) -> (TaskStatus, u64) {
        match delay_ms {
            0 => (TaskStatus::Pending, 0),
            _ => (TaskStatus::Delayed, self.now_ms.saturating_add(delay_ms)),
        }
    }

    /// Brings times back that lie further ahead than was granted, so that no task is stuck when
    /// the clock was set back.
    fn clamp(&mut self, index: usize) -> Result<()> {
        for status in [TaskStatus::Delayed, TaskStatus::Claimed] {
            let beyond = self.view(index).beyond_the_clock(status, self.now_ms)?;
            let beyond: Vec<_> =
                beyond.into_iter().map(|(id, task)| (id.to_owned(), task)).collect();
            for (id, mut task) in beyond {
                let at_ms = self.now_ms.saturating_add(task.granted_ms);
                self.replace(index, &id, &mut task, status, at_ms)?;
                self.announce(index);
            }
        }
        Ok(())
    }

    /// Makes delayed tasks pending whose time has come.
    fn promote(&mut self, index: usize) -> Result<()> {
        let mut due = Vec::new();
        self.view(index).visit_index(Some(TaskStatus::Delayed), |_, order, id| {
            if order.at_ms > self.now_ms || due.len() == QUEUE_ROWS_PER_CLAIM {
                return Ok(ControlFlow::Break(()));
            }
            due.push(id.to_owned());
            Ok(ControlFlow::Continue(()))
        })?;
        for id in due {
            let mut task = self.view(index).indexed_task(&id)?;
            self.replace(index, &id, &mut task, TaskStatus::Pending, 0)?;
            self.announce(index);
        }
        Ok(())
    }

    fn claim(
        &mut self,
        index: usize,
        lease_ms: u64,
        max_attempts: u32,
    ) -> Result<Option<Box<ClaimedTask>>> {
        for _ in 0..QUEUE_ROWS_PER_CLAIM {
            let Some((id, mut task)) = self.next_ready(index)? else { return Ok(None) };
            self.announce(index);
            if task.status == TaskStatus::Claimed && task.claims >= max_attempts {
                task.error = Some(format!(
                    "the lease of attempt {}, claimed by {:?}, ran out",
                    task.attempt, task.claimed_by
                ));
                self.replace(index, &id, &mut task, TaskStatus::Dead, 0)?;
                continue;
            }
            task.attempt += 1;
            task.claims += 1;
            task.claimed_by = self.agent.to_owned();
            task.granted_ms = lease_ms;
            let at_ms = self.now_ms.saturating_add(lease_ms);
            self.replace(index, &id, &mut task, TaskStatus::Claimed, at_ms)?;
            let item = self.view(index).item(&id)?.to_vec();
            let TaskRow { created, attempt, .. } = task;
            return Ok(Some(Box::new(ClaimedTask { id, created, attempt, item })));
        }
        Ok(None)
    }

    /// The task whose lease ran out first, else the one that has been pending longest.
    fn next_ready(&self, index: usize) -> Result<Option<(String, TaskRow)>> {
        let view = self.view(index);
        let expired = view.first(TaskStatus::Claimed)?;
        let next = match expired.filter(|(order, _)| order.at_ms <= self.now_ms) {
            None => view.first(TaskStatus::Pending)?,
            expired => expired,
        };
        next.map(|(_, id)| Ok((id.to_owned(), view.indexed_task(id)?))).transpose()
    }

    /// The task, if the worker still has it.
    fn held_task(&self, index: usize, token: Token) -> Result<TaskRow> {
        let task = self.view(index).task(token.id)?;
        match task {
            Some(task) if is_held(&task, token) => Ok(task),
            task => Err(Error::LeaseLost {
                queue: self.queue_name(index).to_owned(),
                id: token.id.to_owned(),
                reason: why_lost(task.as_ref(), token),
            }),
        }
    }

    fn renew(&mut self, index: usize, id: &str, mut task: TaskRow, lease_ms: u64) -> Result<()> {
        let at_ms = self.now_ms.saturating_add(lease_ms);
        // Whoever waits for the old end of the lease sees then that it has a later one.
        if at_ms < task.order.at_ms {
            self.announce(index);
        }
        task.granted_ms = lease_ms;
        self.replace(index, id, &mut task, TaskStatus::Claimed, at_ms)
    }

    fn keep(&mut self, index: usize, token: Token, lease_ms: u64) -> Result<bool> {
        let task = self.view(index).task(token.id)?;
        let Some(task) = task.filter(|task| is_held(task, token)) else { return Ok(false) };
        if task.order.at_ms < self.now_ms.saturating_add(lease_ms) {
            self.renew(index, token.id, task, lease_ms)?;
        }
        Ok(true)
    }

    fn complete(&mut self, index: usize, token: Token, result: Option<&[u8]>) -> Result<()> {
        let mut task = self.held_task(index, token)?;
        task.error = None;
        task.has_result = result.is_some();
        self.replace(index, token.id, &mut task, TaskStatus::Completed, 0)?;
        self.announce(index);
        let Some(result) = result else { return Ok(()) };
        let key = row_key(self.queue_name(index), RowKind::Result, token.id.as_bytes());
        self.put_row(&key, result)
    }

    fn fail(
        &mut self,
        index: usize,
        token: Token,
        error: &str,
        retry_in_ms: u64,
        max_attempts: u32,
    ) -> Result<()> {
        let mut task = self.held_task(index, token)?;
        task.error = Some(clip(error, MAX_TASK_ERROR_BYTES).to_owned());
        task.granted_ms = retry_in_ms;
        let (status, at_ms) = if task.claims >= max_attempts {
            (TaskStatus::Dead, 0)
        } else {
            self.waiting(retry_in_ms)
        };
        self.replace(index, token.id, &mut task, status, at_ms)?;
        self.announce(index);
        Ok(())
    }

    fn retry_dead(&mut self, index: usize) -> Result<u64> {
        let mut dead = Vec::new();
        self.view(index).visit_index(Some(TaskStatus::Dead), |_, _, id| {
            dead.push(id.to_owned());
            Ok(ControlFlow::Continue(()))
        })?;
        for id in &dead {
            let mut task = self.view(index).indexed_task(id)?;
            task.claims = 0;
            self.replace(index, id, &mut task, TaskStatus::Pending, 0)?;
            self.announce(index);
        }
        Ok(dead.len() as u64)
    }

    fn clear_queue(&mut self, index: usize) -> Result<u64> {
        let batch = self.sharing.batch();
        let Some(queue) = self.queues.queues.get_mut(index) else { return Ok(0) };
        self.sharing.check_clear(queue.changed_by)?;
        self.writes += 1;
        let removed = queue.stats.total();
        let low = queue_prefix(&queue.name);
        // No kind of row has this byte.
        let mut high = low.clone();
        high.push(u8::MAX);
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&low), Bound::Excluded(&high));
        let rows = self
            .environment
            .queues
            .delete_range(self.txn, &range)
            .map_err(|error| lmdb_error("clear a queue", error))?;
        if rows > 0 {
            queue.stats = QueueStats::default();
            queue.changed_by.get_or_insert(batch);
            queue.announced = true;
        } else {
            self.writes -= 1;
        }
        Ok(removed)
    }
}

fn is_held(task: &TaskRow, token: Token) -> bool {
    task.status == TaskStatus::Claimed
        && task.created == token.created
        && task.attempt == token.attempt
}

/// Why a worker no longer has a task.
fn why_lost(task: Option<&TaskRow>, token: Token) -> String {
    let Some(task) = task else { return "there is no such task: the queue was cleared".into() };
    if task.created != token.created {
        return "the queue was cleared; the task of this id is another one, pushed since".into();
    }
    let TaskRow { attempt, claimed_by, .. } = task;
    let is_own = *attempt == token.attempt;
    match task.status {
        TaskStatus::Completed if is_own => "this attempt has completed it already".into(),
        TaskStatus::Dead if is_own => "this attempt was its last, it is dead".into(),
        _ if is_own => "this attempt has failed, the task is back in the queue".into(),
        TaskStatus::Claimed => format!(
            "the lease of attempt {} ran out, and {claimed_by:?} has claimed it (attempt {attempt})",
            token.attempt
        ),
        TaskStatus::Completed => format!(
            "the lease of attempt {} ran out, and {claimed_by:?} has completed it (attempt \
             {attempt})",
            token.attempt
        ),
        status => format!(
            "the lease of attempt {} ran out, and {claimed_by:?} has claimed it since (attempt \
             {attempt}); it is {} now",
            token.attempt,
            status.name()
        ),
    }
}

/// Cuts a text at the last character that fits.
fn clip(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}
