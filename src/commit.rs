//! The one write path: every mutation of every kind passes through [`Shared::commit`].
//!
//! A batch is applied inside one LMDB write transaction on one thread in one call. It either
//! commits whole or leaves nothing behind. No JavaScript runs and no lock but the store's own is
//! waited for while the transaction is open.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use heed::types::Bytes;
use heed::{CommitOrAbort, CommitToken, OnCommit, RwTxn};

use crate::apply::{Application, Target};
use crate::batch::{Batch, Mutation, Outcome};
use crate::changes::Recorder;
use crate::environment::{Database, Environment, Handle, lmdb_error};
use crate::error::{Error, Result};
use crate::expiry::{first_due_ms, now_ms, visit_due};
use crate::filesystem::available_bytes;
use crate::limits::{MAX_BATCH_NAMESPACES, MAX_VERSION, SWEEP_ENTRIES_PER_COMMIT};
use crate::queue::apply::QueueChanges;
use crate::shared::{Shared, WriterState};
use crate::weakened;

/// What a batch did.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// The version of everything that the batch wrote; `None` where it changed nothing.
    pub version: Option<u64>,
    /// One for each mutation, in order.
    pub outcomes: Vec<Outcome>,
}

/// A disk with less than this, beyond the bytes of the batch, counts as full.
const SHORT_OF_SPACE_BYTES: u64 = 1024 * 1024;

/// The agent of sweeps. Removals leave no trace of it.
const SWEEPER: &str = "commonhold";

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

/// Databases created by a transaction, to be kept once it has committed.
struct Created<'txn>(Vec<(usize, Database<'txn>)>, Committed);

impl OnCommit for Created<'_> {
    type Committed = (Vec<(usize, Handle)>, Committed);

    fn on_commit(self, token: &CommitToken) -> Self::Committed {
        let Created(databases, committed) = self;
        let keep = |(index, database): (usize, Database)| (index, database.on_commit(token));
        (databases.into_iter().map(keep).collect(), committed)
    }
}

/// Errors inside heed's closure, which wants to convert its own.
enum Failure {
    Ours(Error),
    Commit(heed::Error),
}

/// The result of a transaction.
type Attempt<T> = std::result::Result<T, Failure>;

impl From<heed::Error> for Failure {
    fn from(error: heed::Error) -> Failure {
        Failure::Commit(error)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Ours(error)
    }
}

impl Shared {
    /// Applies a batch, durably, or fails and leaves nothing behind.
    pub(crate) fn commit(&self, agent: &str, batch: &Batch) -> Result<Committed> {
        let mut writer = self.lock_writer();
        self.check_not_poisoned()?;
        let is_first = !self.has_written.swap(true, Ordering::Relaxed);
        if is_first || batch.writes_expiry() {
            self.owe_sweep();
        }
        let mut result = self.commit_locked(&mut writer, agent, batch);
        if let Err(Error::MapOutgrown) = result {
            drop(writer);
            self.remap()?;
            writer = self.lock_writer();
            result = self.commit_locked(&mut writer, agent, batch);
        }
        match result {
            Err(Error::StoreFull) => self.commit_to_full(&mut writer, agent, batch),
            result => result,
        }
    }

    /// Commits to a store that has reached its largest size, if there is a way.
    fn commit_to_full(
        &self,
        writer: &mut WriterState,
        agent: &str,
        batch: &Batch,
    ) -> Result<Committed> {
        if batch.reserve_bytes() > 0 {
            return self.commit_into_reserve(writer, agent, batch);
        }
        // What has expired is room that nobody has claimed yet.
        self.sweep_locked(writer)?;
        self.free_pages(writer)?;
        match self.commit_locked(writer, agent, batch) {
            Err(Error::StoreFull) if self.has_history_to_drop(writer)? => {}
            result => return result,
        }
        // Data comes before history: watchers that lag behind begin anew.
        self.drop_history(writer)?;
        self.free_pages(writer)?;
        self.commit_locked(writer, agent, batch)
    }

    fn has_history_to_drop(&self, writer: &WriterState) -> Result<bool> {
        let environment = self.environment(writer)?;
        let pages = environment.begin_read().and_then(|txn| {
            let stat = environment.changes.stat(&txn)?;
            Ok(stat.leaf_pages + stat.overflow_pages)
        });
        Ok(pages.map_err(|error| lmdb_error("read the history", error))? > 1)
    }

    fn drop_history(&self, writer: &mut WriterState) -> Result<()> {
        writer.drops_history = true;
        let dropped = self.commit_into_reserve(writer, SWEEPER, &Batch::new());
        writer.drops_history = false;
        dropped.map(|_| ())
    }

    /// Commits a removal, with a larger map for as long as it takes.
    fn commit_into_reserve(
        &self,
        writer: &mut WriterState,
        agent: &str,
        batch: &Batch,
    ) -> Result<Committed> {
        self.remap_with(writer, batch.reserve_bytes())?;
        let mut result = self.commit_locked(writer, agent, batch);
        if matches!(result, Err(Error::StoreFull)) && !writer.drops_history {
            // What the removals alone would add to the history may be more than the reserve.
            writer.drops_history = true;
            result = self.commit_locked(writer, agent, batch);
            writer.drops_history = false;
        }
        let freed = self.free_pages(writer);
        self.remap_with(writer, 0)?;
        freed.and(result)
    }

    /// Makes the pages that the last commit freed usable, as far as this process can.
    fn free_pages(&self, writer: &WriterState) -> Result<()> {
        self.release_snapshots();
        let gate = writer.gate()?;
        let _passage = gate.pass()?;
        let environment = self.environment(writer)?;
        environment.commit_nothing().map_err(|error| lmdb_error("commit", error))
    }

    fn commit_locked(
        &self,
        writer: &mut WriterState,
        agent: &str,
        batch: &Batch,
    ) -> Result<Committed> {
        let (mut handles, found) = self.handles_for_writer(writer, &batch.namespaces)?;
        let gate = writer.gate()?;
        let passage = gate.pass()?;
        let result = if found.iter().all(Option::is_some) {
            let environment = Arc::clone(handles.environment()?);
            // Nothing is created: other threads may open handles while this one writes.
            drop(handles);
            commit_to_known(&environment, writer, agent, batch, &found)
        } else {
            let environment = Arc::clone(handles.environment()?);
            commit_with_creation(&environment, writer, agent, batch, &found).map(
                |(created, committed)| {
                    for (index, handle) in created {
                        if let Some(name) = batch.namespaces.get(index) {
                            self.register(&mut handles, name, handle);
                        }
                    }
                    committed
                },
            )
        };
        drop(passage);
        let committed = result.map_err(|failure| self.judge(failure, batch.bytes()))?;
        if committed.version.is_some() && !weakened::skips("wake") {
            self.wake.notify();
        }
        Ok(committed)
    }

    /// Decides what the failure of a commit of so many bytes means for the writes to come.
    fn judge(&self, failure: Failure, bytes: usize) -> Error {
        let (error, committing) = match failure {
            Failure::Ours(error) => (error, false),
            Failure::Commit(error) => (lmdb_error("commit", error), true),
        };
        if is_short_write(&error) && self.is_disk_full(bytes) {
            // No meta page was written: the commit has left nothing behind.
            return Error::NoSpace;
        }
        if committing && matches!(error, Error::Io { .. } | Error::Poisoned(_)) {
            // Nobody knows how much of the commit reached the disk, and a second fsync may report
            // success for pages the kernel has dropped (hazard 19).
            self.poison(error.to_string());
        }
        error
    }

    fn is_disk_full(&self, bytes: usize) -> bool {
        let needed = (bytes as u64).saturating_add(SHORT_OF_SPACE_BYTES);
        available_bytes(self.dir()).is_ok_and(|available| available < needed)
    }

    /// Removes entries that have expired, as many as one commit takes.
    pub(crate) fn sweep(&self) -> Swept {
        if self.check_not_poisoned().is_err() {
            return Swept::Nothing;
        }
        let mut writer = self.lock_writer();
        // A failed sweep loses nothing: reads judge each entry by its own time of expiry.
        self.sweep_locked(&mut writer).unwrap_or(Swept::Later(0))
    }

    fn sweep_locked(&self, writer: &mut WriterState) -> Result<Swept> {
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
        match self.commit_locked(writer, SWEEPER, &batch) {
            Err(Error::StoreFull) => self.commit_into_reserve(writer, SWEEPER, &batch)?,
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

fn begin(environment: &Environment) -> Result<RwTxn<'_>> {
    environment.lmdb.write_txn().map_err(|error| lmdb_error("begin a write", error))
}

/// LMDB reports EIO where the system wrote only a part of what it was given ("short write,
/// filesystem full?" in `mdb_page_flush`).
fn is_short_write(error: &Error) -> bool {
    const EIO: i32 = 5;
    matches!(error, Error::Io { source, .. } if source.raw_os_error() == Some(EIO))
}

/// The path of nearly every commit: all namespaces exist.
fn commit_to_known(
    environment: &Environment,
    writer: &mut WriterState,
    agent: &str,
    batch: &Batch,
    handles: &[Option<Handle>],
) -> Attempt<Committed> {
    let mut txn = begin(environment)?;
    let databases = handles.iter().map(|handle| handle.map(|handle| handle as Database)).collect();
    let committed = apply(environment, &mut txn, writer, agent, batch, databases)?;
    if committed.version.is_some() {
        txn.commit()?;
    }
    Ok(committed)
}

/// Creates the databases of new namespaces in the same transaction. The caller holds the lock of
/// the handles.
fn commit_with_creation(
    environment: &Environment,
    writer: &mut WriterState,
    agent: &str,
    batch: &Batch,
    handles: &[Option<Handle>],
) -> Attempt<(Vec<(usize, Handle)>, Committed)> {
    let txn = begin(environment)?;
    let result = environment.lmdb.create_databases_and_commit(txn, |opener, txn| {
        let mut databases: Vec<Option<Database>> = Vec::with_capacity(handles.len());
        let mut opened = Vec::new();
        for (index, (name, handle)) in batch.namespaces.iter().zip(handles).enumerate() {
            let database = match handle {
                Some(handle) => Some(*handle as Database),
                // Another process may have created it since: then it is opened here.
                None if creates(batch, index) => {
                    Some(opener.create_database::<Bytes, Bytes>(txn, Some(name))?)
                }
                None => opener.open_database::<Bytes, Bytes>(txn, Some(name))?,
            };
            if let (Some(database), None) = (database, handle) {
                opened.push((index, database));
            }
            databases.push(database);
        }
        let committed = apply(environment, txn, writer, agent, batch, databases)?;
        if committed.version.is_none() {
            return Ok::<_, Failure>(CommitOrAbort::Abort(committed));
        }
        Ok(CommitOrAbort::Commit(Created(opened, committed)))
    })?;
    Ok(match result {
        CommitOrAbort::Commit(created) => created,
        CommitOrAbort::Abort(committed) => (Vec::new(), committed),
    })
}

/// Whether the batch writes to a namespace, rather than only removing from it.
fn creates(batch: &Batch, namespace: usize) -> bool {
    batch.mutations.iter().any(|mutation| match mutation {
        Mutation::Set { namespace: index, .. } | Mutation::Increment { namespace: index, .. } => {
            *index == namespace
        }
        _ => false,
    })
}

/// Checks the preconditions and applies the mutations; the caller commits or aborts.
fn apply<'txn>(
    environment: &Environment,
    txn: &mut RwTxn<'_>,
    writer: &mut WriterState,
    agent: &str,
    batch: &Batch,
    databases: Vec<Option<Database<'txn>>>,
) -> Result<Committed> {
    let version = environment.version_of(txn.id());
    if version > MAX_VERSION {
        return Err(Error::FormatVersion("the store has run out of version numbers".into()));
    }
    let targets = batch
        .namespaces
        .iter()
        .zip(databases)
        .map(|(name, database)| Target::load(environment, txn, name, database))
        .collect::<Result<Vec<_>>>()?;
    // Read under the writer's lock, so that expiry is judged in the order of commits.
    let now_ms = now_ms();
    let mut application = Application {
        txn,
        environment,
        targets,
        agent,
        version,
        now_ms,
        sequence: 0,
        stray_rows: 0,
        history: Recorder::new(environment.changes, version, now_ms, writer.drops_history),
        queues: QueueChanges::default(),
        scratch: &mut writer.scratch,
    };
    for precondition in &batch.preconditions {
        application.check(precondition)?;
    }
    let outcomes = batch
        .mutations
        .iter()
        .map(|mutation| application.apply(mutation))
        .collect::<Result<Vec<_>>>()?;
    let changed = application.finish(writer.history)?;
    Ok(Committed { version: changed.then_some(version), outcomes })
}
