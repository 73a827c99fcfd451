//! What all handles of one store share within a process: the environment, the database handles,
//! the lock of the process's writers.
//!
//! Locks are taken in this order, and none is held while JavaScript runs: registry, gate, writer,
//! handles, list of readers, a reader. Recycling takes all from the writer's on. Only at the gate
//! does anybody wait for other processes; whoever holds one of the others is soon done.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use heed::CommitOrAbort;
use heed::types::Bytes;

use crate::changes::HistoryLimits;
use crate::checkpoint::{Checkpoints, NextPin};
use crate::deadline::Deadline;
use crate::environment::{Environment, Handle, ReadTxn, data_file, lmdb_error};
use crate::error::{Error, Result};
use crate::gate::Gate;
use crate::guard::{self, ProcessGuard, ProcessInfo, SnapshotSlot};
use crate::limits::{DEFAULT_BUSY_TIMEOUT_MS, MAX_HANDLES};
use crate::location::identity;
use crate::maintenance::{Alarm, Maintenance};
use crate::queue::Renewals;
use crate::reader::{Pins, Reader};
use crate::signals::Signals;
use crate::wake::Wake;
use crate::writer::WriterThread;

/// A handle, and the epoch of the environment it belongs to.
#[derive(Clone, Copy)]
pub(crate) struct NamespaceHandle {
    pub database: Handle,
    pub epoch: u64,
}

/// The open handles of the present environment.
#[derive(Default)]
pub(crate) struct Handles {
    /// `None` once the store is shut down, and after a recycling that could not open it again.
    environment: Option<Arc<Environment>>,
    /// How often the environment was opened.
    epoch: u64,
    is_shut_down: bool,
    by_name: HashMap<Box<str>, NamespaceHandle>,
}

/// State that only the process's one writer touches.
#[derive(Default)]
pub(crate) struct WriterState {
    /// Reused for the heads of records.
    pub scratch: Vec<u8>,
    /// How much history is kept.
    pub history: HistoryLimits,
    /// Whether the next commit drops the history instead of appending to it.
    pub drops_history: bool,
    /// Keeps LMDB from overwriting the pages of the checkpoint (checkpoint.rs).
    pub pin: Option<ReadTxn>,
    /// The next pin, while its checkpoint is not on the disk yet.
    pub next_pin: Option<NextPin>,
}

/// One open store.
pub(crate) struct Shared {
    pub dir: PathBuf,
    guard: Mutex<Option<ProcessGuard>>,
    map_bytes: u64,
    data_file: Option<(u64, u64)>,
    /// `None` once the store is shut down.
    gate: Mutex<Option<Arc<Gate>>>,
    writer: Mutex<WriterState>,
    handles: Mutex<Handles>,
    handles_opened: Arc<AtomicU64>,
    readers: Mutex<Vec<Weak<Reader>>>,
    pins: Arc<Pins>,
    alarm: Arc<Alarm>,
    maintenance: Mutex<Option<Maintenance>>,
    /// The leases that are renewed while the code of their workers runs.
    pub renewals: Renewals,
    /// Applies the writes that nobody waits for in a call.
    pub writer_thread: WriterThread,
    /// Why no more writes are accepted.
    poison: Mutex<Option<String>>,
    /// Whether this process ever wrote: only writers sweep.
    pub has_written: AtomicBool,
    /// Whether the next write should see to the room for removals (reserve.rs).
    pub owes_reserve: AtomicBool,
    /// Whether the maintenance thread should look for expired entries before long.
    pub owes_sweep: AtomicBool,
    /// Whether it should do so at once.
    pub owes_sweep_now: AtomicBool,
    /// Whether any handle of this process may write.
    pub may_write: AtomicBool,
    pub wake: Wake,
    pub signals: Signals,
    pub checkpoints: Checkpoints,
}

impl Shared {
    /// Wraps a freshly opened environment.
    pub fn new(
        dir: PathBuf,
        guard: ProcessGuard,
        environment: Environment,
        map_bytes: u64,
        history: HistoryLimits,
        (gate, wake): (Gate, Wake),
    ) -> Result<Arc<Shared>> {
        let handles = Handles { environment: Some(Arc::new(environment)), ..Handles::default() };
        let data_file = identity(&data_file(&dir));
        let shared = Arc::new_cyclic(|store| Shared {
            dir,
            data_file,
            guard: Mutex::new(Some(guard)),
            map_bytes,
            gate: Mutex::new(Some(Arc::new(gate))),
            writer: Mutex::new(WriterState { history, ..WriterState::default() }),
            handles: Mutex::new(handles),
            handles_opened: Arc::default(),
            readers: Mutex::default(),
            pins: Arc::default(),
            alarm: Arc::default(),
            maintenance: Mutex::default(),
            renewals: Renewals::default(),
            writer_thread: WriterThread::default(),
            poison: Mutex::default(),
            has_written: AtomicBool::new(false),
            owes_reserve: AtomicBool::new(true),
            owes_sweep: AtomicBool::new(false),
            owes_sweep_now: AtomicBool::new(false),
            may_write: AtomicBool::new(false),
            wake,
            signals: Signals::default(),
            checkpoints: Checkpoints::new(Weak::clone(store)),
        });
        let maintenance = Maintenance::start(Arc::clone(&shared.alarm), Arc::downgrade(&shared))
            .map_err(|error| Error::io("could not start a thread", error))?;
        *lock(&shared.maintenance) = Some(maintenance);
        Ok(shared)
    }

    /// A reader for one more thread.
    pub fn new_reader(&self) -> Result<Arc<Reader>> {
        let handles = lock(&self.handles);
        let reader = Arc::new(Reader::new(
            Arc::clone(handles.environment()?),
            self.claim_slot()?,
            Arc::clone(&self.alarm),
            Arc::clone(&self.handles_opened),
            Arc::clone(&self.pins),
        ));
        let mut readers = lock(&self.readers);
        readers.retain(|reader| reader.strong_count() > 0);
        readers.push(Arc::downgrade(&reader));
        Ok(reader)
    }

    /// A slot in which a snapshot's age is published.
    pub fn claim_slot(&self) -> Result<SnapshotSlot> {
        lock(&self.guard).as_ref().map(ProcessGuard::claim_slot).ok_or(Error::Closed)
    }

    /// The processes that have the store open.
    pub fn live_processes(&self) -> Result<Vec<ProcessInfo>> {
        match &*lock(&self.guard) {
            Some(guard) => guard::live_processes(&self.dir, guard),
            None => Err(Error::Closed),
        }
    }

    /// The gate before LMDB's lock of writers.
    pub fn gate(&self) -> Result<Arc<Gate>> {
        lock(&self.gate).clone().ok_or(Error::Closed)
    }

    /// Waits for what the process's other threads do to the environment. Whoever will write has
    /// passed the gate before.
    pub fn lock_writer(&self) -> MutexGuard<'_, WriterState> {
        lock(&self.writer)
    }

    /// Refuses to write after a write of which nobody knows how much reached the disk.
    pub fn check_not_poisoned(&self) -> Result<()> {
        match &*lock(&self.poison) {
            Some(reason) => Err(Error::Poisoned(reason.clone())),
            None => Ok(()),
        }
    }

    /// Refuses all further writes until the store is opened again, if the system reported an error
    /// that is not a matter of memory. Nobody knows how much of a commit that failed so reached the
    /// disk, and a second fsync may report success for pages the kernel has dropped (hazard 19).
    pub fn poison_by(&self, error: &Error) {
        if let Error::Io { source, .. } = error
            && source.raw_os_error().is_some()
            && source.kind() != ErrorKind::OutOfMemory
        {
            self.poison_for(error.to_string());
        }
    }

    /// Refuses all further writes until the store is opened again.
    pub fn poison_for(&self, reason: String) {
        lock(&self.poison).get_or_insert(reason);
    }

    /// The id of the newest commit.
    pub fn newest_txn(&self) -> Result<usize> {
        lock(&self.handles).environment().map(|environment| environment.newest_txn())
    }

    /// The present environment, for as long as the caller holds the writer's lock. Nobody else
    /// may keep a reference: recycling must drop the last one.
    pub fn environment(&self, _writer: &WriterState) -> Result<Arc<Environment>> {
        lock(&self.handles).environment().cloned()
    }

    /// The handle of a namespace for a reader, opened if need be. `None`: no such namespace.
    pub fn handle(&self, name: &str) -> Result<Option<NamespaceHandle>> {
        let mut outgrown = false;
        {
            let mut handles = lock(&self.handles);
            let has_room = handles.by_name.len() < MAX_HANDLES && handles.environment.is_some();
            if has_room || handles.by_name.contains_key(name) {
                match self.open_handle(&mut handles, name) {
                    Err(error) if error.needs_remap() => outgrown = true,
                    opened => return opened,
                }
            }
        }
        loop {
            let opened = self.with_right_to_recycle(|writer| {
                // The writer's lock comes before the lock of the handles.
                let mut handles = lock(&self.handles);
                let is_full = handles.by_name.len() >= MAX_HANDLES;
                if outgrown || is_full || handles.environment.is_none() {
                    self.recycle(writer, &mut handles, 0)?;
                }
                self.open_handle(&mut handles, name)
            });
            match opened {
                Err(Error::Pinned) => self.pins.wait_until_released(),
                opened => return opened,
            }
        }
    }

    /// Locks the writer's state for a recycling, which ends the pin of unsynced commits: where
    /// there is one, the gate is passed first.
    fn with_right_to_recycle<R>(
        &self,
        run: impl FnOnce(&mut WriterState) -> Result<R>,
    ) -> Result<R> {
        let gate = self.gate()?;
        loop {
            let patience = Duration::from_millis(DEFAULT_BUSY_TIMEOUT_MS);
            let is_active = self.checkpoints.is_active();
            let passage = is_active.then(|| gate.pass(&Deadline::after(patience))).transpose()?;
            let mut writer = self.lock_writer();
            // Under this lock none can come.
            if passage.is_some() || writer.pin.is_none() {
                return run(&mut writer);
            }
        }
    }

    /// Maps the file again, because another process has written past the end of the map.
    pub fn remap(&self) -> Result<()> {
        loop {
            let remapped = self
                .with_right_to_recycle(|writer| self.recycle(writer, &mut lock(&self.handles), 0));
            match remapped {
                Err(Error::Pinned) => self.pins.wait_until_released(),
                remapped => return remapped,
            }
        }
    }

    /// Maps the file again with so many bytes beyond the largest size. Fails with
    /// [`Error::Pinned`] while a backup is being made.
    pub fn remap_with(&self, writer: &mut WriterState, extra_bytes: u64) -> Result<()> {
        self.recycle(writer, &mut lock(&self.handles), extra_bytes)
    }

    /// Waits for the backups that this process is making.
    pub fn wait_for_backups(&self) {
        self.pins.wait_until_released();
    }

    /// Opens the handles of all `names` for the writer and keeps the table locked: whoever
    /// creates a database holds this lock from before its transaction begins until after its
    /// commit, else two threads could give one slot to two databases (hazard 42).
    pub fn handles_for_writer(
        &self,
        writer: &mut WriterState,
        names: &[&str],
    ) -> Result<(MutexGuard<'_, Handles>, Vec<Option<Handle>>)> {
        let mut handles = lock(&self.handles);
        let unknown = names.iter().filter(|name| !handles.by_name.contains_key(**name)).count();
        if handles.by_name.len() + unknown > MAX_HANDLES || handles.environment.is_none() {
            self.recycle(writer, &mut handles, 0)?;
        }
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            found.push(self.open_handle(&mut handles, name)?.map(|handle| handle.database));
        }
        Ok((handles, found))
    }

    fn open_handle(&self, handles: &mut Handles, name: &str) -> Result<Option<NamespaceHandle>> {
        if let Some(handle) = handles.by_name.get(name) {
            return Ok(Some(*handle));
        }
        let environment = Arc::clone(handles.environment()?);
        let opened = environment
            .begin_read()
            .and_then(|txn| {
                environment.lmdb.open_databases_and_commit(txn, |opener, txn| {
                    opener.open_database::<Bytes, Bytes>(txn, Some(name)).map(|database| {
                        match database {
                            Some(database) => CommitOrAbort::Commit(database),
                            None => CommitOrAbort::Abort(()),
                        }
                    })
                })
            })
            .map_err(|error| lmdb_error("open a namespace", error))?;
        Ok(opened.commit().map(|database| self.register(handles, name, database)))
    }

    /// Enters a handle whose transaction has committed.
    pub fn register(&self, handles: &mut Handles, name: &str, database: Handle) -> NamespaceHandle {
        // A snapshot that began before cannot use the handle: readers compare (reader.rs).
        self.handles_opened.fetch_add(1, Ordering::AcqRel);
        let handle = NamespaceHandle { database, epoch: handles.epoch };
        handles.by_name.insert(name.into(), handle);
        handle
    }

    /// Closes the environment and opens it again, which empties LMDB's table of handles: heed can
    /// close no single one. Waits until no transaction of this process is live; the writer's lock
    /// (in `writer`) keeps writers out, the readers' locks keep readers out. Fails with
    /// [`Error::Pinned`] while a backup is being made, for which nobody may wait with locks held.
    /// Where there are unsynced commits, the caller has passed the gate.
    fn recycle(
        &self,
        writer: &mut WriterState,
        handles: &mut Handles,
        extra_bytes: u64,
    ) -> Result<()> {
        if handles.is_shut_down {
            return Err(Error::Closed);
        }
        let map_bytes = self.map_bytes.saturating_add(extra_bytes);
        let epoch = handles.epoch + 1;
        if let Ok(environment) = handles.environment() {
            self.deactivate(writer, &Arc::clone(environment));
        }
        assert!(writer.pin.is_none(), "a recycling would end a pin that others rely on");
        // If this fails (no memory, no descriptors), the next call that needs it tries again.
        self.replace_environment(handles, || {
            Environment::open(&self.dir, map_bytes, epoch)
                .map(|environment| Some(environment.into()))
        })?;
        handles.epoch = epoch;
        Ok(())
    }

    /// Drops the environment, when nobody in this process reads or copies it any more, and gives
    /// everybody the next one, if there is one.
    fn replace_environment(
        &self,
        handles: &mut Handles,
        next: impl FnOnce() -> Result<Option<Arc<Environment>>>,
    ) -> Result<()> {
        // Locked to the end: no reader is made meanwhile.
        let list = lock(&self.readers);
        let readers: Vec<Arc<Reader>> = list.iter().filter_map(Weak::upgrade).collect();
        let mut states: Vec<_> = readers.iter().map(|reader| reader.lock()).collect();
        if self.pins.any() {
            return Err(Error::Pinned);
        }
        for state in &mut states {
            state.replace(None);
        }
        handles.by_name.clear();
        handles.environment = None;
        handles.environment = next()?;
        for state in &mut states {
            state.replace(handles.environment.as_ref());
        }
        Ok(())
    }

    /// Ends everything. Called once, by the registry, when the last handle closes.
    pub fn shut_down(&self) {
        // Without a lock: the threads take locks of their own while they end.
        let maintenance = lock(&self.maintenance).take();
        drop(maintenance);
        self.signals.shut_down(self);
        self.renewals.stop();
        self.writer_thread.stop();
        loop {
            let mut writer = self.lock_writer();
            // Deactivated before, unless the store is poisoned.
            (writer.pin, writer.next_pin) = (None, None);
            let mut handles = lock(&self.handles);
            handles.is_shut_down = true;
            // Opening none cannot fail.
            if self.replace_environment(&mut handles, || Ok(None)).is_ok() {
                break;
            }
            drop((handles, writer));
            self.pins.wait_until_released();
        }
        *lock(&self.gate) = None;
        // Last: as long as the file is mapped, no second copy may open it.
        *lock(&self.guard) = None;
    }

    /// Has the maintenance thread look for expired entries before long.
    pub fn owe_sweep(&self) {
        self.owes_sweep.store(true, Ordering::SeqCst);
        self.alarm.ring();
    }

    /// Has the maintenance thread look for expired entries at once. Returns whether this process
    /// may remove them.
    pub fn sweep_soon(&self) -> bool {
        let may_write = self.may_write.load(Ordering::Relaxed);
        if may_write {
            self.owes_sweep_now.store(true, Ordering::SeqCst);
            self.alarm.ring();
        }
        may_write
    }

    /// Runs `read` on a new snapshot of a reader that no session owns, and ends the snapshot.
    pub fn read_once<R>(
        &self,
        reader: &Reader,
        read: impl FnOnce(&Environment, &ReadTxn) -> Result<R>,
    ) -> Result<R> {
        let mut state = loop {
            let mut state = reader.lock();
            match reader.refresh(&mut state) {
                Ok(()) => break state,
                // A recycling that could not open the environment again leaves none behind.
                Err(Error::MapOutgrown | Error::MetaNotWritten | Error::Closed) => {}
                Err(error) => return Err(error),
            }
            drop(state);
            self.remap()?;
        };
        let result =
            state.current().and_then(|(environment, snapshot)| read(environment, &snapshot.txn));
        state.release();
        result
    }

    /// One tick for every reader. Returns whether any still keeps a snapshot.
    pub fn tick_readers(&self) -> bool {
        let readers: Vec<Arc<Reader>> =
            lock(&self.readers).iter().filter_map(Weak::upgrade).collect();
        readers.iter().fold(false, |kept, reader| reader.tick() | kept)
    }

    /// Ends the kept snapshot of every reader that is not in the middle of a read.
    pub fn release_snapshots(&self) {
        // The first tick marks, the second releases.
        self.tick_readers();
        self.tick_readers();
    }

    /// Frees the reader slots of processes that were killed (hazards 10, 11).
    pub fn clear_stale_readers(&self) {
        if let Ok(environment) = lock(&self.handles).environment() {
            // What fails here fails again, and is reported, where a snapshot is needed.
            let _ = environment.lmdb.clear_stale_readers();
        }
    }

    /// Fails if the data file was removed or replaced since it was mapped: then what is open here
    /// is not what others find at this path.
    pub fn check_in_place(&self) -> Result<()> {
        if identity(&data_file(&self.dir)) == self.data_file {
            return Ok(());
        }
        Err(Error::InvalidOption(format!(
            "the store at {} was removed or replaced while this process has it open: close() every \
             handle of it before you remove a store",
            self.dir.display()
        )))
    }

    /// The directory of the store.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Handles {
    pub fn environment(&self) -> Result<&Arc<Environment>> {
        self.environment.as_ref().ok_or(Error::Closed)
    }
}

/// Locks a mutex whose data stays valid even if a thread panicked while it held the lock.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
