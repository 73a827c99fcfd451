//! Relaxed durability: commits that are not synced, and checkpoints to go back to.
//!
//! LMDB without syncs is no longer sound after a power cut: both its meta pages may name pages that
//! never reached the disk. So the file `checkpoint` names a commit T all of whose pages did, and
//! has a copy of its meta page; the first to open the store after a cut goes back to T
//! (recovery.rs). Four rules make that safe, all judged behind the gate (gate.rs):
//!
//! 1. A process that makes unsynced commits is *active*: it holds a read transaction, the *pin*, at
//!    or before T, so that LMDB overwrites no page of T; and a shared flock of `relaxed.lock`, which
//!    tells others that it lives. It relies on no other process's pin, which could vanish with it.
//! 2. A pin is given up only for a later one whose checkpoint is on the disk.
//! 3. The shared word is 1 from before the file says "active" until after it durably says "synced".
//! 4. While the word is 1 nobody commits without being active, in no mode: a strict commit is then
//!    an unsynced one with a checkpoint before it is acknowledged. If nobody holds the flock, a
//!    strict writer first syncs all there is and ends this state.
//!
//! Closing an environment ends its transactions, so a recycling gives the pin up by rule 2 first.

mod background;
mod file;
mod flusher;
mod pin;
mod recovery;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{OnceLock, Weak};
use std::time::{Duration, Instant};

use self::background::IDLE_STAGE;
pub(crate) use self::background::NextPin;
pub use self::file::Recovery;
use self::file::{BootId, NO_BOOT, Slot, SlotFile, State};
use self::flusher::Flusher;
pub(crate) use self::recovery::{finish, pending, recover};
use crate::deadline::Deadline;
use crate::environment::{Environment, data_file};
use crate::error::{Error, Result};
use crate::expiry::now_ms;
use crate::limits::{DEFAULT_FLUSH_INTERVAL_MS, MAX_UNSYNCED_BYTES, MAX_UNSYNCED_COMMITS};
use crate::location::create_private_file;
use crate::page;
use crate::shared::{Shared, WriterState};
use crate::wake::Wake;
use crate::weakened;

/// The flusher begins a checkpoint, whatever the interval, when so many commits are unsynced, or so
/// many bytes: writers go on while it syncs.
const EARLY_COMMITS: u64 = MAX_UNSYNCED_COMMITS / 4;
const EARLY_BYTES: u64 = MAX_UNSYNCED_BYTES / 4;

/// No handle of the process was ever relaxed.
const NO_INTERVAL: u64 = u64::MAX;

/// When a write counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on the disk.
    #[default]
    Strict,
    /// When every process sees it; it is on the disk within the flush interval.
    Relaxed,
}

/// The newest commit that is known to be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Its version.
    pub version: u64,
    /// When the checkpoint was taken, in milliseconds since 1970.
    pub at_ms: u64,
}

/// What a process has to do with checkpoints.
pub(crate) struct Checkpoints {
    boot_id: Option<BootId>,
    files: OnceLock<Files>,
    started: Instant,
    /// The smallest flush interval of the process's relaxed handles, or `NO_INTERVAL`.
    interval_ms: AtomicU64,
    is_active: AtomicBool,
    is_closed: AtomicBool,
    /// How far the flusher's checkpoint is (background.rs).
    stage: AtomicU8,
    unsynced_commits: AtomicU64,
    unsynced_bytes: AtomicU64,
    pinned_txn: AtomicUsize,
    last_commit_ms: AtomicU64,
    last_checkpoint_ms: AtomicU64,
    flusher: Flusher,
    store: Weak<Shared>,
}

/// Opened when they are first needed, and kept: an error of writing pages back is told to the
/// descriptors that were open by then.
struct Files {
    data: File,
    slots: SlotFile,
    lock: File,
}

impl Checkpoints {
    pub fn new(store: Weak<Shared>) -> Checkpoints {
        Checkpoints {
            boot_id: file::boot_id(),
            files: OnceLock::new(),
            started: Instant::now(),
            interval_ms: AtomicU64::new(NO_INTERVAL),
            is_active: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
            stage: AtomicU8::new(IDLE_STAGE),
            unsynced_commits: AtomicU64::new(0),
            unsynced_bytes: AtomicU64::new(0),
            pinned_txn: AtomicUsize::new(0),
            last_commit_ms: AtomicU64::new(0),
            last_checkpoint_ms: AtomicU64::new(0),
            flusher: Flusher::default(),
            store,
        }
    }

    /// Whether this process makes unsynced commits. Changes only behind the gate, under the
    /// writer's lock.
    pub fn is_active(&self) -> bool {
        self.is_active.load(Ordering::SeqCst)
    }

    /// A relaxed handle was opened.
    pub fn flush_every(&self, interval: Duration) {
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX).max(1);
        self.interval_ms.fetch_min(interval_ms, Ordering::Relaxed);
        self.flusher.hurry();
    }

    fn interval(&self) -> Duration {
        match self.interval_ms.load(Ordering::Relaxed) {
            // No handle is relaxed, but sweeps and renewals are while others are.
            NO_INTERVAL => Duration::from_millis(DEFAULT_FLUSH_INTERVAL_MS),
            interval_ms => Duration::from_millis(interval_ms),
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn files(&self, dir: &Path) -> Result<&Files> {
        if let Some(files) = self.files.get() {
            return Ok(files);
        }
        let data = File::options()
            .read(true)
            .write(true)
            .open(data_file(dir))
            .map_err(|error| Error::io("could not open data.mdb", error))?;
        let lock = create_private_file(&dir.join("relaxed.lock"))?;
        let files = Files { data, slots: SlotFile::create(dir)?, lock };
        Ok(self.files.get_or_init(|| files))
    }
}

impl Checkpoints {
    /// A slot for the newest commit. The caller has passed the gate, so nobody commits meanwhile.
    fn slot(&self, files: &Files, environment: &Environment, state: State) -> Result<Slot> {
        // What a reader sees may lag behind by a commit whose writer was killed; then a pin does,
        // too.
        let txn_id = environment.newest_txn();
        let page_bytes = u64::from(environment.lmdb.unnamed_database_stat().page_size);
        let meta = page::read_meta_page(&files.data, (txn_id as u64 & 1) * page_bytes);
        let meta = meta.and_then(|bytes| page::parse_meta(&bytes).map(|parsed| (bytes, parsed)));
        let Ok((meta, parsed)) = meta else {
            return Err(Error::Corrupt("a meta page cannot be read".into()));
        };
        if parsed.txn_id != txn_id as u64 {
            return Err(Error::Corrupt("a meta page is not of the commit it should be of".into()));
        }
        let Ok(store_id) = environment.store_id.as_bytes().try_into() else {
            return Err(Error::Corrupt("the store's identity has another length".into()));
        };
        Ok(Slot {
            state,
            boot_id: self.boot_id.unwrap_or(NO_BOOT),
            store_id,
            txn_id: txn_id as u64,
            version: environment.version_of(txn_id),
            at_ms: now_ms(),
            meta,
            recovery: None,
        })
    }
}

impl Files {
    /// Whether no process is active. The caller has passed the gate, so none becomes it.
    fn lock_alone(&self) -> Result<bool> {
        match self.lock.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(Error::io("could not lock relaxed.lock", error)),
        }
    }

    fn unlock(&self) {
        // Fails for no file that could be locked.
        let _ = self.lock.unlock();
    }
}

impl Shared {
    /// Makes ready for a commit: afterwards this process is active, or nobody is. The caller has
    /// passed the gate, and keeps the environment in place until after the commit.
    pub fn prepare_commit(
        &self,
        writer: &mut WriterState,
        environment: &Environment,
        durability: Durability,
    ) -> Result<()> {
        if self.checkpoints.is_active() {
            return Ok(());
        }
        if self.commits_are_synced() {
            let relaxed = durability == Durability::Relaxed && self.checkpoints.boot_id.is_some();
            return if relaxed { self.activate(writer, environment) } else { Ok(()) };
        }
        if durability == Durability::Strict && self.settle_if_alone(environment)? {
            return Ok(());
        }
        self.activate(writer, environment)
    }

    /// What commits get that the store makes of its own accord: relaxed where others are just now.
    pub fn own_durability(&self) -> Durability {
        if self.checkpoints.is_active() { Durability::Relaxed } else { Durability::Strict }
    }

    /// To be called after a commit of so many bytes and before it is acknowledged. What fails here
    /// poisons the store.
    pub fn complete_commit(
        &self,
        writer: &mut WriterState,
        environment: &Environment,
        durability: Durability,
        bytes: usize,
    ) -> Result<()> {
        let own = &self.checkpoints;
        if !own.is_active() {
            return Ok(());
        }
        // Rule 1: the pin is there.
        assert!(writer.pin.is_some() || weakened::skips("pin"), "an unsynced commit without a pin");
        let commits = own.unsynced_commits.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes_before = own.unsynced_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let bytes = bytes_before + bytes as u64;
        own.last_commit_ms.store(own.elapsed_ms(), Ordering::Relaxed);
        if durability == Durability::Strict
            || commits >= MAX_UNSYNCED_COMMITS
            || bytes >= MAX_UNSYNCED_BYTES
        {
            return self.move_pin(writer, environment);
        }
        if commits.is_multiple_of(EARLY_COMMITS)
            || bytes_before / EARLY_BYTES != bytes / EARLY_BYTES
        {
            own.flusher.hurry();
        }
        self.advance_checkpoint(writer, environment)
    }

    /// Brings everything that was committed to the disk.
    pub fn flush(&self, deadline: &Deadline) -> Result<()> {
        self.check_not_poisoned()?;
        if self.commits_are_synced() {
            return Ok(());
        }
        let gate = self.gate()?;
        let _passage = gate.pass(deadline)?;
        let mut writer = self.lock_writer();
        let environment = self.environment(&writer)?;
        self.check_not_poisoned()?;
        if self.checkpoints.is_active() {
            self.move_pin(&mut writer, &environment)
        } else if self.commits_are_synced() || self.settle_if_alone(&environment)? {
            Ok(())
        } else {
            // The pins of those who are active are older.
            self.take_checkpoint(&environment, State::Active)
        }
    }

    /// The newest checkpoint and the newest recovery, as the file has them.
    pub fn checkpoint_figures(&self, store_id: &str) -> (Option<Checkpoint>, Option<Recovery>) {
        let newest = SlotFile::open(self.dir()).ok().flatten();
        let newest = newest.and_then(|slots| slots.newest().ok().flatten());
        match newest {
            Some((_, slot)) if slot.store_id == store_id.as_bytes() => {
                let checkpoint = Checkpoint { version: slot.version, at_ms: slot.at_ms };
                (Some(checkpoint), slot.recovery)
            }
            _ => (None, None),
        }
    }

    /// Whether every commit was synced. Whoever asks behind the gate gets an answer that stays.
    fn commits_are_synced(&self) -> bool {
        self.wake.unsynced_word().is_none_or(|word| word.load(Ordering::SeqCst) == 0)
    }

    fn say_synced(&self, is_synced: bool) {
        if let Some(word) = self.wake.unsynced_word() {
            word.store(u32::from(!is_synced), Ordering::SeqCst);
        }
    }
}

/// Sets the shared word for an opener. Who is alone has recovered; where others are alive they have
/// set it, and it is only made good if the page was lost.
pub(crate) fn set_word(wake: &Wake, dir: &Path, others_alive: bool) -> Result<()> {
    let Some(word) = wake.unsynced_word() else { return Ok(()) };
    if !others_alive {
        // Looked at first: a store into a page may need room on the disk.
        if word.load(Ordering::SeqCst) != 0 {
            word.store(0, Ordering::SeqCst);
        }
        return Ok(());
    }
    let newest = SlotFile::open(dir)?.map(|slots| slots.newest()).transpose()?.flatten();
    if newest.is_some_and(|(_, slot)| slot.state == State::Active) {
        word.store(1, Ordering::SeqCst);
    }
    Ok(())
}
