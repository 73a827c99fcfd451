//! Read transactions: cheap, linearizable, and never held for long.
//!
//! A thread's snapshot is kept as long as the store's last transaction id has not moved, so a
//! read costs a comparison instead of a transaction. A pinned snapshot makes the file grow
//! (hazard 6), therefore the maintenance thread releases what it finds two ticks in a row. Only a
//! backup holds one for longer.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::environment::{Environment, ReadTxn, lmdb_error};
use crate::error::{Error, Result};
use crate::guard::SnapshotSlot;
use crate::maintenance::Alarm;

/// A read transaction, and how many handles had been opened when it began.
pub(crate) struct Snapshot {
    pub txn: ReadTxn,
    /// LMDB fixes the set of handles a transaction can use when it begins.
    handles_seen: u64,
    /// Set by the first tick of the maintenance thread that finds the snapshot.
    aged: bool,
}

/// What a reader has while the store is open.
pub(crate) struct ReaderState {
    environment: Option<Arc<Environment>>,
    kept: Option<Snapshot>,
    slot: SnapshotSlot,
    is_detached: bool,
}

/// One per thread that opened the store (one per [`crate::Store`]).
pub(crate) struct Reader {
    state: Mutex<ReaderState>,
    alarm: Arc<Alarm>,
    handles_opened: Arc<AtomicU64>,
    pins: Arc<Pins>,
}

/// Counts the backups that are being made, so that the environment is not recycled under them.
#[derive(Default)]
pub(crate) struct Pins {
    count: Mutex<usize>,
    released: Condvar,
}

impl Pins {
    /// Whether a backup is being made. The caller has locked every reader, so none begins.
    pub fn any(&self) -> bool {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) > 0
    }

    /// Waits until no backup is being made. The caller holds no lock.
    pub fn wait_until_released(&self) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        while *count > 0 {
            count = self.released.wait(count).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn add(&self, change: isize) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_add_signed(change);
        self.released.notify_all();
    }
}

/// The environment, for as long as a backup copies it.
pub(crate) struct PinnedEnvironment {
    // Dropped in this order: the pin last, because recycling waits for it.
    pub environment: Arc<Environment>,
    _pin: Pin,
}

struct Pin {
    pins: Arc<Pins>,
    slot: SnapshotSlot,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.slot.end();
        self.pins.add(-1);
    }
}

impl Reader {
    pub fn new(
        environment: Arc<Environment>,
        slot: SnapshotSlot,
        alarm: Arc<Alarm>,
        handles_opened: Arc<AtomicU64>,
        pins: Arc<Pins>,
    ) -> Reader {
        let environment = Some(environment);
        let state = ReaderState { environment, kept: None, slot, is_detached: false };
        Reader { state: Mutex::new(state), alarm, handles_opened, pins }
    }

    /// Locks the reader; as long as the guard lives the environment is not recycled.
    pub fn lock(&self) -> MutexGuard<'_, ReaderState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings `state` to a snapshot that sees every commit acknowledged before this call, and
    /// every handle opened before it.
    pub fn refresh(&self, state: &mut ReaderState) -> Result<()> {
        let ReaderState { environment, kept, slot, .. } = state;
        let environment = environment.as_ref().ok_or(Error::Closed)?;
        let handles_seen = self.handles_opened.load(Ordering::Acquire);
        let current = kept.as_ref().is_some_and(|snapshot| {
            snapshot.txn.id() == environment.newest_txn() && snapshot.handles_seen == handles_seen
        });
        if !current {
            *kept = None;
            let txn =
                environment.begin_read().map_err(|error| lmdb_error("begin a read", error))?;
            slot.begin();
            *kept = Some(Snapshot { txn, handles_seen, aged: false });
            self.alarm.ring();
        }
        Ok(())
    }

    /// Whether `state` still has the snapshot of this transaction id, and it can use every handle
    /// opened so far.
    pub fn keeps(&self, state: &ReaderState, txn_id: usize) -> bool {
        let handles_seen = self.handles_opened.load(Ordering::Acquire);
        state.kept.as_ref().is_some_and(|snapshot| {
            snapshot.txn.id() == txn_id && snapshot.handles_seen == handles_seen
        })
    }

    /// Keeps the environment from being recycled; `slot` publishes since when.
    pub fn pin(&self, state: &ReaderState, slot: SnapshotSlot) -> Result<PinnedEnvironment> {
        let environment = Arc::clone(state.environment.as_ref().ok_or(Error::Closed)?);
        slot.begin();
        self.pins.add(1);
        let pin = Pin { pins: Arc::clone(&self.pins), slot };
        Ok(PinnedEnvironment { environment, _pin: pin })
    }

    /// Drops a snapshot that was already there at the last tick. Returns whether one remains.
    /// A reader in the middle of a read is left alone.
    pub fn tick(&self) -> bool {
        let Ok(mut state) = self.state.try_lock() else { return true };
        match &mut state.kept {
            Some(snapshot) if !snapshot.aged => snapshot.aged = true,
            _ => state.release(),
        }
        state.kept.is_some()
    }
}

impl ReaderState {
    /// The environment and the snapshot that the last refresh left.
    pub fn current(&self) -> Result<(&Environment, &Snapshot)> {
        match (&self.environment, &self.kept) {
            (Some(environment), Some(snapshot)) => Ok((environment, snapshot)),
            _ => Err(Error::Closed),
        }
    }

    /// Ends the kept snapshot.
    pub fn release(&mut self) {
        if self.kept.take().is_some() {
            self.slot.end();
        }
    }

    /// Changes the environment, or takes it away. A detached reader stays without.
    pub fn replace(&mut self, environment: Option<&Arc<Environment>>) {
        self.release();
        self.environment = environment.filter(|_| !self.is_detached).map(Arc::clone);
    }

    /// Takes the environment away for good: the reader's handle was closed.
    pub fn detach(&mut self) {
        self.is_detached = true;
        self.replace(None);
    }
}
