//! Removes what has expired.

use std::collections::HashSet;
use std::time::Duration;

use super::{SWEEPER, Work};
use crate::batch::Batch;
use crate::deadline::Deadline;
use crate::environment::lmdb_error;
use crate::error::{Error, Result};
use crate::expiry::{first_due_ms, now_ms, visit_due};
use crate::limits::{MAX_BATCH_NAMESPACES, SWEEP_ENTRIES_PER_COMMIT};
use crate::shared::{Shared, WriterState};

/// How long a sweep waits for other writers. They come first.
const PATIENCE: Duration = Duration::from_millis(100);

/// What a sweep of expired entries found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Swept {
    /// No entry will ever expire.
    Nothing,
    /// Some were removed; there may be more.
    Some,
    /// The next one expires in so many milliseconds.
    Later(u64),
}

/// Key of a row in the expiry index, namespace, key of the entry.
type DueRow = (Vec<u8>, String, String);

impl Shared {
    /// Removes entries that have expired, as many as one commit takes.
    pub(crate) fn sweep(&self) -> Swept {
        if self.check_not_poisoned().is_err() {
            return Swept::Nothing;
        }
        // A failed sweep loses nothing: reads judge each entry by its own time of expiry.
        let swept =
            self.with_writer(&Deadline::after(PATIENCE), |writer| self.sweep_locked(writer));
        swept.unwrap_or(Swept::Later(0))
    }

    pub(super) fn sweep_locked(&self, writer: &mut WriterState) -> Result<Swept> {
        let (due, next_at_ms) = self.find_due(writer)?;
        if due.is_empty() {
            let later = |at_ms: u64| Swept::Later(at_ms.saturating_sub(now_ms()));
            return Ok(next_at_ms.map_or(Swept::Nothing, later));
        }
        let mut batch = Batch::new();
        for (row_key, namespace, key) in &due {
            let namespace = batch.namespace(namespace)?;
            batch.expire(namespace, key, row_key);
        }
        let work = Work { agent: SWEEPER, batch: &batch, durability: self.own_durability() };
        match self.commit_work(writer, work) {
            Err(Error::StoreFull) => self.commit_into_reserve(writer, work)?,
            result => result?,
        };
        Ok(Swept::Some)
    }

    /// The rows of the expiry index that are due, with namespace and key, as many as one commit
    /// takes; and the time of the first row.
    fn find_due(&self, writer: &WriterState) -> Result<(Vec<DueRow>, Option<u64>)> {
        let environment = self.environment(writer)?;
        let txn = environment.begin_read().map_err(|error| lmdb_error("begin", error))?;
        let mut due: Vec<DueRow> = Vec::new();
        let mut namespaces = HashSet::new();
        visit_due(&environment.expiry, &txn, now_ms(), |row_key, namespace, key| {
            namespaces.insert(namespace.to_owned());
            if namespaces.len() > MAX_BATCH_NAMESPACES {
                return false;
            }
            let key = String::from_utf8_lossy(key).into_owned();
            due.push((row_key.to_vec(), namespace.to_owned(), key));
            due.len() < SWEEP_ENTRIES_PER_COMMIT
        })?;
        Ok((due, first_due_ms(&environment.expiry, &txn)?))
    }
}
