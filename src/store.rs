//! Opening and closing a store.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use crate::batch::Batch;
use crate::catalogue::CatalogueRow;
use crate::changes::HistoryLimits;
use crate::checkpoint::{self, Durability};
use crate::commit::{Committed, Work};
use crate::deadline::Deadline;
use crate::environment::{Environment, ReadTxn, data_file, lmdb_error, mappable_bytes};
use crate::error::{Error, Result};
use crate::expiry::{due_by_namespace, now_ms};
use crate::gate::Gate;
use crate::guard::{self, OpenLock, ProcessGuard};
use crate::limits::{
    DEFAULT_BUSY_TIMEOUT_MS, DEFAULT_FLUSH_INTERVAL_MS, DEFAULT_MAP_BYTES, HISTORY_SHARE_OF_STORE,
    MAX_READERS, MIN_MAP_BYTES,
};
use crate::marker::{self, Marker};
use crate::namespace::Namespace;
use crate::preflight::{self, Found, MAX_CREATION_TXN};
use crate::queue::{Queue, QueueOptions};
use crate::range::{is_empty, prefix_bounds};
use crate::reader::{PinnedEnvironment, Reader, ReaderState};
use crate::record::clip_agent;
use crate::shared::{Shared, lock};
use crate::transaction::Transaction;
use crate::turn::{self, Turn};
use crate::wake::Wake;
use crate::writer::{Done, Job, Write};
use crate::{filesystem, location, reserve};

/// How to open a store.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Directory of the store; `None`: `$COMMONHOLD_PATH`, else the user's default store.
    pub path: Option<PathBuf>,
    /// Name stamped on what is written; `None`: "unknown".
    pub agent: Option<String>,
    /// Largest size the store may grow to, in bytes; `None`: all the platform gives.
    pub max_size: Option<u64>,
    /// Open without the right to write.
    pub read_only: bool,
    /// How much history this process keeps when it writes.
    pub history: HistoryLimits,
    /// How long a write waits for another process that is writing; `None`: 5 seconds.
    pub busy_timeout: Option<Duration>,
    /// When a write counts as done. Where the system does not tell one run of the kernel from
    /// another (all but Linux), relaxed is strict.
    pub durability: Durability,
    /// How often relaxed writes are brought to the disk; `None`: every 100 ms.
    pub flush_interval: Option<Duration>,
}

/// Whether a store may be opened when nobody else has it open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Host,
    Guest,
}

/// A handle to an open store. Handles of one path share an environment; the last one to close
/// unmaps it.
pub struct Store {
    pub(crate) session: Arc<Session>,
}

/// What a store's handle and its namespaces have in common.
pub(crate) struct Session {
    pub shared: Arc<Shared>,
    pub reader: Arc<Reader>,
    agent: String,
    read_only: bool,
    /// How long a write waits for another process.
    pub busy_timeout: Duration,
    durability: Durability,
    pub closed: Arc<AtomicBool>,
    /// Whether a transaction of this handle is running: then only it may write.
    in_transaction: AtomicBool,
}

/// The stores that this process has open, by canonical path (hazard 8).
static REGISTRY: LazyLock<Mutex<HashMap<PathBuf, Registered>>> = LazyLock::new(Mutex::default);

struct Registered {
    shared: Arc<Shared>,
    sessions: usize,
}

impl Registered {
    fn shared_in_place(&self) -> Result<Arc<Shared>> {
        self.shared.check_in_place()?;
        Ok(Arc::clone(&self.shared))
    }
}

impl Store {
    /// Opens a store, creating it where there is none.
    ///
    /// ```
    /// # let dir = tempfile::tempdir().unwrap();
    /// use commonhold::{OpenOptions, Store, Ttl};
    /// let store = Store::open(&OpenOptions {
    ///     path: Some(dir.path().join("store")),
    ///     agent: Some("writer".into()),
    ///     ..OpenOptions::default()
    /// })?;
    /// let reports = store.namespace("reports")?;
    /// reports.set("latest", &commonhold::value::from_json(&"hello".into())?, Ttl::Never, None, None)?;
    /// assert_eq!(reports.get_json("latest")?, Some("hello".into()));
    /// # Ok::<(), commonhold::Error>(())
    /// ```
    pub fn open(options: &OpenOptions) -> Result<Store> {
        Store::open_as(options, Role::Host)
    }

    fn open_as(options: &OpenOptions, role: Role) -> Result<Store> {
        let path = location::resolve(options.path.as_deref())?;
        let busy_timeout =
            options.busy_timeout.unwrap_or(Duration::from_millis(DEFAULT_BUSY_TIMEOUT_MS));
        let deadline = Deadline::after(busy_timeout);
        let mut registry = lock(&REGISTRY);
        let dir = location::prepare_directory(&path, !options.read_only)?;
        let shared = if let Some(registered) = registry.get(&dir) {
            registered.shared_in_place()?
        } else {
            check_directory(&dir, options).map_err(|error| error.of_store(&dir))?;
            // Not while others are waited for: threads of this process open and close stores.
            drop(registry);
            let open = guard::lock_open(&dir, agent_of(options), &deadline)?;
            registry = lock(&REGISTRY);
            match registry.get(&dir) {
                Some(registered) => registered.shared_in_place()?,
                None => open_directory(&dir, options, role, &deadline, open)
                    .map_err(|error| error.of_store(&dir))?,
            }
        };
        if !options.read_only {
            shared.may_write.store(true, Ordering::Relaxed);
        }
        if options.durability == Durability::Relaxed {
            let default = Duration::from_millis(DEFAULT_FLUSH_INTERVAL_MS);
            shared.checkpoints.flush_every(options.flush_interval.unwrap_or(default));
        }
        let reader = shared.new_reader()?;
        registry
            .entry(dir)
            .or_insert_with(|| Registered { shared: Arc::clone(&shared), sessions: 0 })
            .sessions += 1;
        let agent = agent_of(options).to_owned();
        let session = Session {
            shared,
            reader,
            agent,
            read_only: options.read_only,
            busy_timeout,
            durability: options.durability,
            closed: Arc::default(),
            in_transaction: AtomicBool::new(false),
        };
        Ok(Store { session: Arc::new(session) })
    }

    /// Opens a store for reading if other processes have it open; `None` where none has, for then
    /// opening it could change files.
    pub(crate) fn join(dir: &Path, agent: &str) -> Result<Option<Store>> {
        let options = OpenOptions {
            path: Some(dir.to_owned()),
            agent: Some(agent.to_owned()),
            read_only: true,
            ..OpenOptions::default()
        };
        match Store::open_as(&options, Role::Guest) {
            Err(Error::NotFound(_)) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// The store's directory.
    pub fn path(&self) -> &Path {
        self.session.shared.dir()
    }

    /// The name stamped on what is written.
    pub fn agent(&self) -> &str {
        self.session.agent()
    }

    /// A view of one namespace. Nothing is written by this call.
    pub fn namespace(&self, name: &str) -> Result<Namespace> {
        Namespace::new(Arc::clone(&self.session), name)
    }

    /// A view of one queue. Nothing is written by this call.
    pub fn queue(&self, name: &str, options: QueueOptions) -> Result<Queue> {
        Queue::new(Arc::clone(&self.session), name, options)
    }

    /// The names, beginning with `prefix`, of namespaces that hold a live entry, in byte order.
    pub fn list_namespaces(&self, prefix: &str) -> Result<Vec<String>> {
        let mut names = Vec::new();
        self.session.visit_namespaces(prefix, |name, _| names.push(name.to_owned()))?;
        Ok(names)
    }

    /// Applies a batch: all of it, durably, or nothing.
    pub fn commit(&self, batch: &Batch) -> Result<Committed> {
        self.session.commit(batch)
    }

    /// Queues a write for the process's writer thread, which commits all that is queued together.
    /// `done` is called once, from that thread. Writes are applied in the order of these calls.
    /// `bytes` is how much memory the write takes. Waits only while more than
    /// [`MAX_QUEUED_BYTES`](crate::limits::MAX_QUEUED_BYTES) are queued.
    pub fn submit(&self, bytes: usize, write: Box<dyn Write>, done: Done) -> Result<()> {
        self.session.submit(bytes, write, done)
    }

    /// Begins a transaction. Until it ends, nothing else is written through this handle.
    ///
    /// Fails with [`Error::InvalidOption`] if one is running already.
    pub fn begin_transaction(&self) -> Result<Transaction> {
        Transaction::begin(Arc::clone(&self.session))
    }

    /// Begins a transaction beside which others may run, and anything may be written.
    pub fn begin_shared_transaction(&self) -> Result<Transaction> {
        Transaction::begin_shared(Arc::clone(&self.session))
    }

    /// Waits until everything written so far, by any process, is on the disk, and what this process
    /// has queued. A strict commit was when it returned.
    pub fn flush(&self) -> Result<()> {
        self.session.check_open()?;
        let deadline = Deadline::after(self.session.busy_timeout);
        self.session.drain(&deadline)?;
        self.session.shared.flush(&deadline)
    }

    /// Waits, at most `wait` or the busy timeout, for an advisory turn among all processes that ask for one. Writers
    /// that lost several races in a row take it, so that nobody starves. `None`: the time is over.
    pub fn take_turn(&self, wait: Duration) -> Result<Option<Turn>> {
        self.session.check_open()?;
        turn::take(self.path(), wait.min(self.session.busy_timeout))
    }

    /// Closes this handle. Later calls fail with [`Error::Closed`].
    pub fn close(&self) {
        self.session.close();
    }
}

impl Session {
    /// Fails if the handle was closed.
    pub fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Fails if the handle was closed or may not write.
    pub fn check_writable(&self) -> Result<()> {
        self.check_open()?;
        if self.read_only { Err(Error::ReadOnly) } else { Ok(()) }
    }

    /// Fails if the handle may not write, or not before its transaction ends.
    pub fn check_may_commit(&self) -> Result<()> {
        if self.in_transaction.load(Ordering::Relaxed) {
            return Err(Error::InTransaction);
        }
        self.check_writable()
    }

    /// The one way to write, but for a transaction.
    pub fn commit(&self, batch: &Batch) -> Result<Committed> {
        self.check_may_commit()?;
        self.commit_transaction(batch)
    }

    /// As `commit`, for the transaction that is running.
    pub fn commit_transaction(&self, batch: &Batch) -> Result<Committed> {
        self.check_writable()?;
        let deadline = Deadline::after(self.busy_timeout);
        self.drain(&deadline)?;
        let work = Work { agent: &self.agent, batch, durability: self.durability };
        self.shared.commit(&deadline, work)
    }

    /// Waits for what was queued by calls before this one, which comes first. Other handles may
    /// have queued writes that wait for another process with more patience than this one has.
    fn drain(&self, deadline: &Deadline) -> Result<()> {
        const LOOK: Duration = Duration::from_millis(20);
        let gate = self.shared.gate()?;
        let is_drained = self.shared.writer_thread.drain_while(|| match deadline.left() {
            None if gate.is_kept_by_another() => None,
            left => Some(left.unwrap_or(LOOK)),
        });
        if is_drained { Ok(()) } else { Err(gate.busy(deadline)) }
    }

    /// Queues a write for the process's writer thread. `done` is called once, from that thread.
    /// Waits only while more than [`MAX_QUEUED_BYTES`](crate::limits::MAX_QUEUED_BYTES) are queued.
    pub fn submit(&self, bytes: usize, write: Box<dyn Write>, done: Done) -> Result<()> {
        self.check_may_commit()?;
        self.submit_transaction(bytes, write, done)
    }

    /// As `submit`, for a transaction that is not the one which keeps others from writing.
    fn submit_transaction(&self, bytes: usize, write: Box<dyn Write>, done: Done) -> Result<()> {
        self.check_writable()?;
        let agent = self.agent.as_str().into();
        let manner = (self.busy_timeout, self.durability);
        self.shared.writer_thread.submit(&self.shared, Job::new(agent, manner, bytes, write, done))
    }

    /// Keeps all but one transaction from writing. Returns false if one is running.
    pub fn claim_for_transaction(&self) -> bool {
        !self.in_transaction.swap(true, Ordering::Relaxed)
    }

    /// Ends what `claim_for_transaction` began.
    pub fn release_from_transaction(&self) {
        self.in_transaction.store(false, Ordering::Relaxed);
    }

    /// The name stamped on what is written.
    pub fn agent(&self) -> &str {
        &self.agent
    }

    /// Runs `read` on a snapshot that sees every commit acknowledged before this call.
    pub fn with_snapshot<R>(
        &self,
        read: impl FnOnce(&Environment, &ReadTxn) -> Result<R>,
    ) -> Result<R> {
        let state = self.fresh()?;
        let (environment, snapshot) = state.current()?;
        read(environment, &snapshot.txn)
    }

    /// The reader, locked, with a snapshot that sees every commit acknowledged before this call.
    pub fn fresh(&self) -> Result<MutexGuard<'_, ReaderState>> {
        loop {
            let mut state = self.reader.lock();
            match self.reader.refresh(&mut state) {
                Ok(()) => return Ok(state),
                Err(error) if error.needs_remap() => {}
                // A recycling could not open the environment again: try once more.
                Err(Error::Closed) if self.check_open().is_ok() => {}
                Err(error) => return Err(error),
            }
            drop(state);
            self.shared.remap()?;
        }
    }

    /// The reader, locked, with the snapshot `wanted` if it is still kept and can use every handle
    /// opened so far; else as `fresh`.
    pub fn snapshot_at(&self, wanted: Option<usize>) -> Result<MutexGuard<'_, ReaderState>> {
        if let Some(txn_id) = wanted {
            let state = self.reader.lock();
            if self.reader.keeps(&state, txn_id) {
                return Ok(state);
            }
        }
        self.fresh()
    }

    /// Keeps the environment from being recycled, for a backup.
    pub fn pin(&self) -> Result<PinnedEnvironment> {
        let state = self.fresh()?;
        self.reader.pin(&state, self.shared.claim_slot()?)
    }

    /// Visits the name and the number of live entries of every namespace that has one.
    pub fn visit_namespaces(&self, prefix: &str, mut visit: impl FnMut(&str, u64)) -> Result<()> {
        let bounds = prefix_bounds(prefix);
        debug_assert!(!is_empty(&bounds));
        let range = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
        self.with_snapshot(|environment, txn| {
            let rows = environment
                .catalogue
                .range(txn, &range)
                .map_err(|error| lmdb_error("read the catalogue", error))?;
            let mut due = None;
            for row in rows {
                let (name, row) = row.map_err(|error| lmdb_error("read the catalogue", error))?;
                let row = CatalogueRow::decode(name, row)?;
                let name = std::str::from_utf8(name)
                    .map_err(|_| Error::Corrupt("a namespace's name is not UTF-8".into()))?;
                if row.expiring > 0 && due.is_none() {
                    due = Some(due_by_namespace(&environment.expiry, txn, now_ms())?);
                }
                let gone = due.as_ref().and_then(|due| due.get(name)).copied().unwrap_or(0);
                let live = row.count.saturating_sub(gone);
                if live > 0 {
                    visit(name, live);
                }
            }
            Ok(())
        })
    }

    fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        self.shared.writer_thread.drain();
        self.shared.signals.close_session(self);
        let deadline = Deadline::after(self.busy_timeout);
        let is_last = lock(&REGISTRY).get(self.shared.dir()).is_some_and(|own| own.sessions == 1);
        // Not while others are waited for: threads of this process open and close stores.
        let can_end = !is_last || self.shared.deactivate_within(&deadline).is_ok();
        let mut registry = lock(&REGISTRY);
        self.reader.lock().detach();
        let Some(registered) = registry.get_mut(self.shared.dir()) else { return };
        registered.sessions -= 1;
        if registered.sessions == 0 {
            if !can_end || self.shared.deactivate_to_close(&deadline).is_err() {
                // A process that was stopped while it wrote keeps the gate. The store stays as it
                // is, to be opened and closed again, or until this process ends.
                return;
            }
            registry.remove(self.shared.dir());
            // Under the registry's lock, so that nobody opens the path while it is being closed.
            self.shared.shut_down();
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

fn agent_of(options: &OpenOptions) -> &str {
    clip_agent(options.agent.as_deref().unwrap_or("unknown"))
}

/// Refuses a directory that cannot be opened, before anything is written into it.
fn check_directory(dir: &Path, options: &OpenOptions) -> Result<()> {
    filesystem::check(dir)?;
    let found = marker::read(dir)?;
    if options.read_only && found.is_none() {
        return Err(Error::NotFound(dir.to_owned()));
    }
    if found.is_none() {
        location::refuse_foreign_directory(dir)?;
    }
    for file in ["data.mdb", "lock.mdb"] {
        location::check_file(&dir.join(file))?;
    }
    Ok(())
}

/// Opens a directory that this process does not have open yet. Everything that could go wrong
/// inside LMDB is looked for before the file is mapped.
fn open_directory(
    dir: &Path,
    options: &OpenOptions,
    role: Role,
    deadline: &Deadline,
    open: OpenLock,
) -> Result<Arc<Shared>> {
    let process = register(dir, agent_of(options), deadline, &open)?;
    // Again, under the lock: another process may have created the store meanwhile.
    let found = marker::read(dir)?;
    let others_alive = guard::others_alive(dir, Some(&process))?;
    if role == Role::Guest && !others_alive {
        return Err(Error::NotFound(dir.to_owned()));
    }
    let wanted = options.max_size.unwrap_or(DEFAULT_MAP_BYTES);
    let map_bytes = wanted.min(mappable_bytes()).max(MIN_MAP_BYTES / 16);
    let goes_back = match &found {
        Some(marker) if !others_alive => checkpoint::recover(dir, &marker.store_id)?,
        _ => false,
    };
    let exists = preflight::check_data_file(dir, found.is_some(), others_alive)?;
    preflight::preallocate_lock_file(dir, MAX_READERS, others_alive)?;
    match exists {
        Found::Nothing => create(dir, map_bytes)?,
        // Whoever makes the first commits has opened the store here, or created it.
        Found::Store { last_txn, .. } if last_txn <= MAX_CREATION_TXN => {
            marker::make_durable(dir)?;
        }
        Found::Store { .. } => {}
    }
    if goes_back {
        Environment::jump_versions(dir, map_bytes)?;
        checkpoint::finish(dir)?;
    }
    let environment = Environment::open(dir, map_bytes, 0)?;
    if marker::read(dir)?.is_none_or(|marker| marker.store_id != environment.store_id) {
        return Err(Error::Corrupt("commonhold.json and data.mdb are of different stores".into()));
    }
    environment
        .lmdb
        .clear_stale_readers()
        .map_err(|error| lmdb_error("clear the slots of killed readers", error))?;
    let max_bytes = options.history.max_bytes.min(map_bytes / HISTORY_SHARE_OF_STORE);
    let history = HistoryLimits { max_bytes, ..options.history };
    let doors = (Gate::open(dir)?, Wake::open(dir)?);
    checkpoint::set_word(&doors.1, dir, others_alive)?;
    drop(open);
    Shared::new(dir.to_owned(), process, environment, map_bytes, history, doors)
}

/// Registers this process. On a full disk the reserve gives the room, so that one can still read
/// and remove; in small parts, because writers take what is free meanwhile, too.
fn register(dir: &Path, agent: &str, deadline: &Deadline, open: &OpenLock) -> Result<ProcessGuard> {
    loop {
        match guard::register(dir, agent, deadline, open) {
            Err(Error::NoSpace(_)) if reserve::lend(dir) => {}
            result => return result,
        }
    }
}

fn create(dir: &Path, map_bytes: u64) -> Result<()> {
    let marker = Marker::new(marker::new_store_id()?);
    marker::announce(dir)?;
    Environment::create(dir, map_bytes, &marker.store_id)?;
    location::check_file(&data_file(dir))?;
    marker::write(dir, &marker)
}
