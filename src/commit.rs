//! The one write path: every mutation of every kind passes through [`Shared::commit_works`].
//!
//! A batch is applied inside one LMDB write transaction on one thread in one call. It either
//! commits whole or leaves nothing behind, also when it shares a commit with others. No JavaScript
//! runs and no lock but the store's own is waited for while the transaction is open.

mod full;
mod group;
mod sweep;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use heed::types::Bytes;
use heed::{CommitOrAbort, CommitToken, OnCommit, RwTxn};

use self::group::{Applied, Group};
pub(crate) use self::sweep::Swept;
use crate::batch::{Batch, Outcome};
use crate::checkpoint::Durability;
use crate::deadline::Deadline;
use crate::environment::{Database, Environment, Handle, lmdb_error};
use crate::error::{Error, Result};
use crate::reserve;
use crate::shared::{Shared, WriterState};
use crate::shortage::Shortage;
use crate::weakened;

/// What a batch did.
#[derive(Debug, Clone, PartialEq)]
pub struct Committed {
    /// The version of everything that the batch wrote; `None` where it changed nothing.
    pub version: Option<u64>,
    /// One for each mutation, in order.
    pub outcomes: Vec<Outcome>,
}

/// A batch, and on whose behalf it is applied.
#[derive(Clone, Copy)]
pub(crate) struct Work<'a> {
    /// Stamped on what is written.
    pub agent: &'a str,
    pub batch: &'a Batch<'a>,
    pub durability: Durability,
}

/// The agent of sweeps. Removals leave no trace of it.
const SWEEPER: &str = "commonhold";

/// Databases created by a transaction, to be kept once it has committed.
struct Created<'txn>(Vec<(usize, Database<'txn>)>, Applied);

impl OnCommit for Created<'_> {
    type Committed = (Vec<(usize, Handle)>, Applied);

    fn on_commit(self, token: &CommitToken) -> Self::Committed {
        let Created(databases, applied) = self;
        let keep = |(index, database): (usize, Database)| (index, database.on_commit(token));
        (databases.into_iter().map(keep).collect(), applied)
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
    pub(crate) fn commit(&self, deadline: &Deadline, work: Work) -> Result<Committed> {
        self.with_writer(deadline, |writer| self.commit_passed(writer, work))
    }

    /// Applies batches in one commit, as many as fit, and returns the results of so many of the
    /// first ones, at least one. A batch that fails leaves nothing behind and does not keep the
    /// others from being committed. Fails where nobody could write.
    pub(crate) fn commit_group(
        &self,
        deadline: &Deadline,
        works: &[Work],
    ) -> Result<Vec<Result<Committed>>> {
        self.with_writer(deadline, |writer| {
            let together = group::first_that_fit(works);
            if let [_, _, ..] = together {
                self.prepare(together.iter().any(|work| work.batch.writes_expiry()));
                if let Ok(results) = self.commit_works(writer, together) {
                    return Ok(results);
                }
            }
            // What keeps them from being committed together is judged for the first alone.
            let Some(first) = works.first() else { return Ok(Vec::new()) };
            match self.commit_passed(writer, *first) {
                // Waited for without locks, and then all is tried again.
                Err(Error::Pinned) => Err(Error::Pinned),
                result => Ok(vec![result]),
            }
        })
    }

    /// Passes the gate and locks the writer's state.
    fn with_writer<R>(
        &self,
        deadline: &Deadline,
        mut write: impl FnMut(&mut WriterState) -> Result<R>,
    ) -> Result<R> {
        loop {
            self.check_not_poisoned()?;
            let gate = self.gate()?;
            let passage = gate.pass(deadline)?;
            if !gate.is_in_place() {
                // What is written now would be gone with the last process that has it open.
                self.check_in_place()?;
            }
            let mut writer = self.lock_writer();
            self.check_not_poisoned()?;
            match write(&mut writer) {
                Err(Error::Pinned) => {}
                result => return result,
            }
            drop((writer, passage));
            self.wait_for_backups();
        }
    }

    fn prepare(&self, writes_expiry: bool) {
        let is_first = !self.has_written.swap(true, Ordering::Relaxed);
        if is_first || writes_expiry {
            self.owe_sweep();
        }
    }

    /// Applies one batch behind the gate.
    fn commit_passed(&self, writer: &mut WriterState, work: Work) -> Result<Committed> {
        self.check_not_poisoned()?;
        self.prepare(work.batch.writes_expiry());
        if self.owes_reserve.load(Ordering::Relaxed) && work.batch.reserve_bytes() == 0 {
            let has_reserve = reserve::fill(self.dir()).unwrap_or(false);
            self.owes_reserve.store(!has_reserve, Ordering::Relaxed);
        }
        match self.commit_work(writer, work) {
            Err(Error::StoreFull) => self.commit_to_full(writer, work),
            Err(Error::NoSpace(shortage)) => self.commit_without_room(writer, work, shortage),
            result => result,
        }
    }

    fn commit_work(&self, writer: &mut WriterState, work: Work) -> Result<Committed> {
        let mut results = self.commit_works(writer, &[work]);
        if results.as_ref().is_err_and(Error::needs_remap) {
            self.remap_with(writer, 0)?;
            results = self.commit_works(writer, &[work]);
        }
        let mut results = results?;
        results.pop().unwrap_or_else(|| Err(Error::InvalidOption("there is no batch".into())))
    }

    /// Applies batches in one transaction, and returns the results of so many of the first ones.
    fn commit_works(
        &self,
        writer: &mut WriterState,
        works: &[Work],
    ) -> Result<Vec<Result<Committed>>> {
        let mut group = Group::new(works);
        loop {
            match self.commit_once(writer, &group)? {
                Applied::All { results, .. } => return Ok(results),
                Applied::Stuck { at } => group.shorten(at),
            }
        }
    }

    fn commit_once(&self, writer: &mut WriterState, group: &Group) -> Result<Applied> {
        let (mut handles, found) = self.handles_for_writer(writer, group.namespaces())?;
        let environment = Arc::clone(handles.environment()?);
        // A recycling takes a checkpoint, which may have failed.
        self.check_not_poisoned()?;
        let durability = group.durability();
        self.prepare_commit(writer, &environment, durability)?;
        let result = if found.iter().all(Option::is_some) {
            // Nothing is created: other threads may open handles while this one writes.
            drop(handles);
            commit_to_known(&environment, writer, group, &found)
        } else {
            commit_with_creation(&environment, writer, group, &found).map(|(created, applied)| {
                for (index, handle) in created {
                    if let Some(name) = group.namespaces().get(index) {
                        self.register(&mut handles, name, handle);
                    }
                }
                applied
            })
        };
        let applied = result.map_err(|failure| match failure {
            Failure::Ours(error) => self.judge(error, group.bytes()),
            Failure::Commit(error) => self.judge(lmdb_error("commit", error), group.bytes()),
        })?;
        if !applied.is_commit() {
            return Ok(applied);
        }
        let completed = self.complete_commit(writer, &environment, durability, group.bytes());
        if !weakened::skips("wake") {
            self.wake.notify();
        }
        completed.map(|()| applied)
    }

    /// Decides what the failure of a commit of so many bytes means for the writes to come.
    fn judge(&self, error: Error, bytes: usize) -> Error {
        if is_short_write(&error)
            && let Some(shortage) = Shortage::find(self.dir(), bytes as u64)
        {
            return Error::NoSpace(shortage);
        }
        self.poison_by(&error);
        error
    }
}

fn begin<'e>(environment: &'e Environment, group: &Group) -> Result<RwTxn<'e>> {
    let may_write = environment.check_room(group.access());
    may_write
        .and_then(|()| environment.lmdb.write_txn())
        .map_err(|error| lmdb_error("begin a write", error))
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
    group: &Group,
    handles: &[Option<Handle>],
) -> Attempt<Applied> {
    let mut txn = begin(environment, group)?;
    let databases = handles.iter().map(|handle| handle.map(|handle| handle as Database)).collect();
    let applied = group.apply(environment, &mut txn, writer, databases)?;
    if applied.is_commit() {
        txn.commit()?;
    }
    Ok(applied)
}

/// Creates the databases of new namespaces in the same transaction. The caller holds the lock of
/// the handles.
fn commit_with_creation(
    environment: &Environment,
    writer: &mut WriterState,
    group: &Group,
    handles: &[Option<Handle>],
) -> Attempt<(Vec<(usize, Handle)>, Applied)> {
    let txn = begin(environment, group)?;
    let result = environment.lmdb.create_databases_and_commit(txn, |opener, txn| {
        let mut databases: Vec<Option<Database>> = Vec::with_capacity(handles.len());
        let mut opened = Vec::new();
        for (index, (name, handle)) in group.namespaces().iter().zip(handles).enumerate() {
            let database = match handle {
                Some(handle) => Some(*handle as Database),
                // Another process may have created it since: then it is opened here.
                None if group.creates(index) => {
                    Some(opener.create_database::<Bytes, Bytes>(txn, Some(name))?)
                }
                None => opener.open_database::<Bytes, Bytes>(txn, Some(name))?,
            };
            if let (Some(database), None) = (database, handle) {
                opened.push((index, database));
            }
            databases.push(database);
        }
        let applied = group.apply(environment, txn, writer, databases)?;
        if !applied.is_commit() {
            return Ok::<_, Failure>(CommitOrAbort::Abort(applied));
        }
        Ok(CommitOrAbort::Commit(Created(opened, applied)))
    })?;
    Ok(match result {
        CommitOrAbort::Commit(created) => created,
        CommitOrAbort::Abort(applied) => (Vec::new(), applied),
    })
}
