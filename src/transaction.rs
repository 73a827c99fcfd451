//! Transactions: optimistic, serializable, over several namespaces.
//!
//! A transaction holds no lock and pins no snapshot. It remembers what it has read, with versions,
//! and buffers what it writes. Every read sees the same state: while the reader's snapshot is kept
//! it is used again; where it is gone, a new one is taken and all that was read before is looked
//! up in it first. If something has changed, the transaction is overtaken, and has to begin again.
//! The commit is one batch whose preconditions are all that was read.

mod changes;
mod entries;
mod listing;
mod reads;
mod writes;

use std::sync::Arc;

use crate::commit::Committed;
use crate::environment::{Environment, Handle, ReadTxn};
use crate::error::{Error, Result};
use crate::expiry::now_ms;
use crate::limits::{MAX_BATCH_NAMESPACES, MAX_TRANSACTION_KEYS_READ};
use crate::namespace::{Namespace, catalogue_row};
use crate::store::Session;
use crate::weakened;
use crate::writer::{Done, Write};
use changes::{Changes, ViewChanges};
pub use listing::ListedValue;
use reads::{ReadSet, Sight, Validity};
use writes::WriteSet;

/// Reads that are consistent with one another, and writes that take effect together if nothing
/// that was read has changed by then. Dropping it leaves nothing behind.
///
/// Every method may fail with [`Error::TransactionOvertaken`]; then all later ones do, and the
/// work has to begin again with a new transaction.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # use commonhold::{OpenOptions, Store, Ttl};
/// # let path = Some(dir.path().join("store"));
/// # let store = Store::open(&OpenOptions { path, ..OpenOptions::default() })?;
/// let mut transaction = store.begin_transaction()?;
/// let jobs = transaction.namespace("jobs")?;
/// let done = transaction.increment(jobs, "done", 1.0)?;
/// assert_eq!(done, 1.0);
/// transaction.commit()?;
/// # Ok::<(), commonhold::Error>(())
/// ```
pub struct Transaction {
    session: Arc<Session>,
    views: Vec<View>,
    /// The state that every read so far has seen; `None` before the first.
    sight: Option<Sight>,
    is_overtaken: bool,
    /// Whether nothing else is written through the handle until this one ends.
    is_exclusive: bool,
}

/// What a transaction knows of one namespace.
struct View {
    namespace: Namespace,
    reads: ReadSet,
    writes: WriteSet,
}

/// A snapshot in which all that the transaction has read is as it was.
struct Consistent<'a> {
    environment: &'a Environment,
    txn: &'a ReadTxn,
    /// The handle of the namespace that is read; `None` where there is no such namespace.
    handle: Option<Handle>,
    /// The time by which expiry is judged.
    now_ms: u64,
}

impl Transaction {
    /// Begins a transaction; see [`crate::Store::begin_transaction`].
    pub(crate) fn begin(session: Arc<Session>) -> Result<Transaction> {
        session.check_open()?;
        if !session.claim_for_transaction() {
            return Err(Error::InTransaction);
        }
        Ok(Transaction::new(session, true))
    }

    /// Begins a transaction beside others; see [`crate::Store::begin_shared_transaction`].
    pub(crate) fn begin_shared(session: Arc<Session>) -> Result<Transaction> {
        session.check_open()?;
        Ok(Transaction::new(session, false))
    }

    fn new(session: Arc<Session>, is_exclusive: bool) -> Transaction {
        Transaction { session, views: Vec::new(), sight: None, is_overtaken: false, is_exclusive }
    }

    /// The index by which the other methods name a namespace.
    ///
    /// Fails with [`Error::InvalidNamespace`], or [`Error::InvalidOption`] at the 101st.
    pub fn namespace(&mut self, name: &str) -> Result<usize> {
        let known = self.views.iter().position(|view| view.namespace.name() == name);
        if let Some(index) = known {
            return Ok(index);
        }
        let namespace = Namespace::new(Arc::clone(&self.session), name)?;
        if self.views.len() == MAX_BATCH_NAMESPACES {
            return Err(Error::InvalidOption(format!(
                "one transaction may touch at most {MAX_BATCH_NAMESPACES} namespaces: split it"
            )));
        }
        self.views.push(View { namespace, reads: ReadSet::default(), writes: WriteSet::default() });
        Ok(self.views.len() - 1)
    }

    /// Whether another writer has changed what was read, as far as it was noticed.
    pub fn is_overtaken(&self) -> bool {
        self.is_overtaken
    }

    /// Applies what was written, durably, if all that was read is still so; returns the version.
    /// A transaction that has written nothing has nothing to check: its reads were consistent.
    ///
    /// Fails with [`Error::Conflict`], [`Error::NamespaceChanged`] or
    /// [`Error::TransactionOvertaken`] where another writer was first.
    pub fn commit(mut self) -> Result<Option<u64>> {
        match self.take_changes()? {
            Some(changes) => Ok(self.session.commit_transaction(&changes.batch()?)?.version),
            None => Ok(None),
        }
    }

    /// As [`Transaction::commit`], by the writer's thread; see [`crate::Store::submit`].
    pub fn submit(mut self, done: Done) -> Result<()> {
        match self.take_changes()? {
            Some(changes) => self.session.submit(changes.bytes(), Box::new(changes), done),
            None => {
                done(Ok(Committed { version: None, outcomes: Vec::new() }));
                Ok(())
            }
        }
    }

    /// What is to be committed; `None` where nothing was written.
    fn take_changes(&mut self) -> Result<Option<Changes>> {
        if self.is_overtaken {
            return Err(Error::TransactionOvertaken);
        }
        if self.views.iter().all(|view| view.writes.len() == 0) {
            return Ok(None);
        }
        let views = std::mem::take(&mut self.views).into_iter().map(|view| ViewChanges {
            namespace: view.namespace.shared_name(),
            reads: view.reads,
            writes: view.writes,
        });
        let as_of_ms = self.sight.map_or(0, |sight| sight.now_ms);
        Ok(Some(Changes { views: views.collect(), as_of_ms }))
    }

    fn view(&self, index: usize) -> Result<&View> {
        self.views.get(index).ok_or_else(unknown_namespace)
    }

    fn view_mut(&mut self, index: usize) -> Result<&mut View> {
        self.views.get_mut(index).ok_or_else(unknown_namespace)
    }

    /// Runs `read` on a snapshot that is consistent with everything read before.
    fn with_snapshot<R>(
        &mut self,
        index: usize,
        read: impl FnOnce(&View, &Consistent) -> Result<R>,
    ) -> Result<R> {
        if self.is_overtaken {
            return Err(Error::TransactionOvertaken);
        }
        loop {
            let wanted = self.sight.filter(|_| !weakened::skips("extension"));
            let state = self.session.snapshot_at(wanted.map(|sight| sight.txn_id))?;
            let (environment, snapshot) = state.current()?;
            let txn = &snapshot.txn;
            let lacking = match self.extend(environment, txn)? {
                Extension::Changed => {
                    self.is_overtaken = true;
                    return Err(Error::TransactionOvertaken);
                }
                Extension::Lacks(lacking) => lacking,
                Extension::Sees(sight) => {
                    self.sight = Some(sight);
                    let view = self.views.get(index).ok_or_else(unknown_namespace)?;
                    if let Some(handle) = view.handle(environment, txn)? {
                        let now_ms = sight.now_ms;
                        return read(view, &Consistent { environment, txn, handle, now_ms });
                    }
                    index
                }
            };
            drop(state);
            self.view(lacking)?.namespace.open_handle()?;
        }
    }

    /// Looks up in a snapshot all that was read before, if it was read in another one.
    fn extend(&self, environment: &Environment, txn: &ReadTxn) -> Result<Extension> {
        let sight = match self.sight {
            Some(sight) if sight.txn_id == txn.id() => return Ok(Extension::Sees(sight)),
            _ => Sight {
                txn_id: txn.id(),
                version: environment.version_of(txn.id()),
                now_ms: now_ms(),
            },
        };
        let Some(before) = self.sight.filter(|_| !weakened::skips("extension")) else {
            return Ok(Extension::Sees(sight));
        };
        for (index, view) in self.views.iter().enumerate() {
            match view.reads.validate(&view.namespace, environment, txn, (before, sight))? {
                Validity::Valid => {}
                Validity::Changed => return Ok(Extension::Changed),
                Validity::LacksHandle => return Ok(Extension::Lacks(index)),
            }
        }
        Ok(Extension::Sees(sight))
    }

    /// Refuses one more key than a transaction may read.
    fn check_room_to_read(&self, index: usize, key: &str) -> Result<()> {
        if self.view(index)?.reads.knows(key) {
            return Ok(());
        }
        let read: usize = self.views.iter().map(|view| view.reads.len()).sum();
        if read < MAX_TRANSACTION_KEYS_READ {
            return Ok(());
        }
        Err(Error::InvalidOption(format!(
            "one transaction may read at most {MAX_TRANSACTION_KEYS_READ} keys one by one: list \
             them with getAll() or listKeys(), or split it"
        )))
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.is_exclusive {
            self.session.release_from_transaction();
        }
    }
}

/// What a snapshot means for a transaction.
enum Extension {
    /// All that was read is so in it.
    Sees(Sight),
    /// Something has changed.
    Changed,
    /// It cannot be told without the handle of this namespace.
    Lacks(usize),
}

impl View {
    /// The namespace's handle; `Some(None)` where there is no such namespace, `None` where the
    /// handle has to be opened first.
    fn handle(&self, environment: &Environment, txn: &ReadTxn) -> Result<Option<Option<Handle>>> {
        if let Some(handle) = self.namespace.cached_handle(environment.epoch) {
            return Ok(Some(Some(handle.database)));
        }
        let row = catalogue_row(environment, txn, self.namespace.name())?;
        Ok((row.count == 0).then_some(None))
    }
}

fn unknown_namespace() -> Error {
    Error::InvalidOption("the transaction does not name this namespace".into())
}
