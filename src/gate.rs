//! The gate before LMDB's lock of writers.
//!
//! That lock is a robust mutex. It survives the death of its holder, but not always that of a
//! process that was woken to take it: if a third one is quicker, and the woken one is killed
//! before it goes back to sleep, nobody knows that others still sleep (the bit that says so is
//! set by those who wait, and the kernel looks only at what the dead one held). They sleep until
//! there is contention again, which may be never: seen as a writer that hung after all others had
//! ended. A flock is kept by the kernel alone, so whoever dies, the next one gets it. Behind the
//! gate LMDB's lock is always free.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::location::create_private_file;
use crate::shared::lock;

const FIRST_SLEEP: Duration = Duration::from_micros(20);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// One process's door to the store's writer.
pub(crate) struct Gate {
    file: File,
    /// Whether a thread of this process stands in the gate or before it: a flock does not tell
    /// the threads of one process apart.
    occupied: Mutex<bool>,
    freed: Condvar,
}

/// The right to begin a write transaction. Dropping it lets the next writer in, and so does the
/// death of the process.
pub(crate) struct Passage<'g> {
    gate: &'g Gate,
    is_locked: bool,
}

impl Gate {
    /// Opens the gate of the store in `dir`.
    pub fn open(dir: &Path) -> Result<Gate> {
        let file = create_private_file(&dir.join("writer.lock"))?;
        Ok(Gate { file, occupied: Mutex::new(false), freed: Condvar::new() })
    }

    /// Waits until nobody else writes. The caller holds no other lock of the store.
    pub fn pass(&self, deadline: &Deadline) -> Result<Passage<'_>> {
        let mut passage = self.enter(deadline)?;
        let mut sleep = FIRST_SLEEP;
        loop {
            match self.file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => {
                    return Err(Error::io("could not lock writer.lock", error));
                }
            }
            let Some(left) = deadline.left() else { return Err(busy(deadline)) };
            std::thread::sleep(sleep.min(left));
            sleep = (sleep * 2).min(LONGEST_SLEEP);
        }
        passage.is_locked = true;
        Ok(passage)
    }

    /// Waits for the other threads of this process.
    fn enter(&self, deadline: &Deadline) -> Result<Passage<'_>> {
        let mut occupied = lock(&self.occupied);
        while *occupied {
            let Some(left) = deadline.left() else { return Err(busy(deadline)) };
            let waited = self.freed.wait_timeout(occupied, left);
            occupied = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *occupied = true;
        Ok(Passage { gate: self, is_locked: false })
    }
}

fn busy(deadline: &Deadline) -> Error {
    Error::Busy { waited_ms: deadline.patience_ms(), holder: None }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if self.is_locked {
            // Fails for no file that could be locked.
            let _ = self.gate.file.unlock();
        }
        *lock(&self.gate.occupied) = false;
        self.gate.freed.notify_one();
    }
}
