//! The gate before LMDB's lock of writers.
//!
//! That lock is a robust mutex. It survives the death of its holder, but not always that of a
//! process that was woken to take it: if a third one is quicker, and the woken one is killed
//! before it goes back to sleep, nobody knows that others still sleep (the bit that says so is
//! set by those who wait, and the kernel looks only at what the dead one held). They sleep until
//! there is contention again, which may be never: seen as a writer that hung after all others had
//! ended. A flock is kept by the kernel alone, so whoever dies, the next one gets it. Behind the
//! gate LMDB's lock is always free.
//!
//! The wait ends with the caller's deadline, because a process may be stopped in the gate. How one
//! waits is in a file per way of waiting.

#[cfg(target_os = "linux")]
mod futex;
#[cfg(any(test, not(target_os = "linux")))]
mod poll;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use crate::deadline::Deadline;
use crate::error::{Error, Holder, Result};
use crate::guard;
use crate::location::create_private_file;
use crate::shared::lock;
use crate::shortage::{Access, Floor};

#[cfg(target_os = "linux")]
use futex::Line;
#[cfg(not(target_os = "linux"))]
use poll::Line;

/// One process's door to the store's writer.
pub(crate) struct Gate {
    dir: PathBuf,
    file: File,
    line: Line,
    /// Where there is one, nobody passes while next to no room is left: writer.lock is mapped.
    floor: Option<Floor>,
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
    /// Opens the gate of the store in `dir`. The caller holds the lock of openers.
    pub fn open(dir: &Path) -> Result<Gate> {
        let file = create_private_file(&dir.join("writer.lock"))?;
        let line =
            Line::open(&file).map_err(|error| Error::io("could not open writer.lock", error))?;
        let (occupied, freed) = (Mutex::new(false), Condvar::new());
        Ok(Gate { dir: dir.to_owned(), file, line, floor: Floor::of(dir)?, occupied, freed })
    }

    /// Waits until nobody else writes. The caller holds no other lock of the store.
    pub fn pass(&self, deadline: &Deadline) -> Result<Passage<'_>> {
        if let Some(floor) = &self.floor {
            floor.check(Access::Read).map_err(|error| Error::io("pass writer.lock", error))?;
        }
        let mut passage = self.come_to_the_door(deadline)?;
        if !self.line.wait(deadline, || self.try_lock())? {
            return Err(self.busy(deadline));
        }
        passage.is_locked = true;
        self.line.enter();
        Ok(passage)
    }

    fn try_lock(&self) -> Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(Error::io("could not lock writer.lock", error)),
        }
    }

    /// Whether the gate still has a name. One that has none was removed, and the store with it.
    pub fn is_in_place(&self) -> bool {
        #[cfg(unix)]
        if let Ok(metadata) = self.file.metadata() {
            return std::os::unix::fs::MetadataExt::nlink(&metadata) > 0;
        }
        true
    }

    /// Waits for the other threads of this process. One of them may wait for another process
    /// longer than this one wants to.
    fn come_to_the_door(&self, deadline: &Deadline) -> Result<Passage<'_>> {
        let mut occupied = lock(&self.occupied);
        while *occupied {
            let Some(left) = deadline.left() else {
                drop(occupied);
                return Err(self.busy(deadline));
            };
            let waited = self.freed.wait_timeout(occupied, left);
            occupied = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *occupied = true;
        Ok(Passage { gate: self, is_locked: false })
    }

    /// Whether another process is in the gate, as far as it is known.
    pub fn is_kept_by_another(&self) -> bool {
        self.line.holder().is_some_and(|pid| pid != std::process::id())
    }

    /// The error of a call whose time is over.
    pub fn busy(&self, deadline: &Deadline) -> Error {
        let holder = self.line.holder().map(|pid| Holder {
            pid,
            // Who it is cannot be told where this fails, and the error is the same.
            agent: guard::agent_of(&self.dir, pid).unwrap_or_default(),
        });
        Error::Busy { waited_ms: deadline.patience_ms(), doing: "writing", holder }
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        if self.is_locked {
            self.gate.line.leave();
            // Fails for no file that could be locked.
            let _ = self.gate.file.unlock();
            self.gate.line.wake();
        }
        *lock(&self.gate.occupied) = false;
        self.gate.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn soon() -> Deadline {
        Deadline::after(Duration::from_millis(20))
    }

    fn holder_of(result: Result<Passage<'_>>) -> Option<Holder> {
        match result {
            Err(Error::Busy { doing: "writing", holder, .. }) => holder,
            Err(error) => panic!("{error}"),
            Ok(_) => panic!("two are in the gate"),
        }
    }

    /// Two gates of one store, as in two processes.
    fn two_gates() -> (tempfile::TempDir, Gate, Gate) {
        let dir = tempfile::tempdir().unwrap();
        let (ours, theirs) = (Gate::open(dir.path()).unwrap(), Gate::open(dir.path()).unwrap());
        (dir, ours, theirs)
    }

    #[test]
    fn one_writer_is_in_the_gate_at_a_time() {
        let (_dir, ours, theirs) = two_gates();
        for gate in [&ours, &theirs] {
            let passage = gate.pass(&soon()).unwrap();
            for other in [&ours, &theirs] {
                for deadline in [soon(), Deadline::after(Duration::ZERO)] {
                    let holder = holder_of(other.pass(&deadline));
                    let pid = cfg!(target_os = "linux").then(std::process::id);
                    assert_eq!(holder.map(|holder| holder.pid), pid);
                }
            }
            drop(passage);
        }
        drop(theirs.pass(&Deadline::after(Duration::ZERO)).unwrap());
    }

    #[test]
    fn a_thread_with_less_patience_is_not_kept_by_one_with_more() {
        let (_dir, ours, theirs) = two_gates();
        let passage = theirs.pass(&soon()).unwrap();
        std::thread::scope(|scope| {
            let patient = scope.spawn(|| drop(ours.pass(&Deadline::after(LONG)).unwrap()));
            while !*lock(&ours.occupied) {
                std::thread::yield_now();
            }
            // Ends only because its own time is over: the other one waits for `passage`.
            holder_of(ours.pass(&soon()));
            drop(passage);
            patient.join().unwrap();
        });
    }

    #[test]
    fn whoever_waits_gets_in_when_the_gate_is_left() {
        const TURNS: u32 = 500;
        let (_dir, ours, theirs) = two_gates();
        let gates = [&ours, &theirs, &ours, &theirs];
        let (passed, passes) = mpsc::channel();
        std::thread::scope(|scope| {
            for gate in gates {
                let passed = passed.clone();
                scope.spawn(move || {
                    for _ in 0..TURNS {
                        let passage = gate.pass(&Deadline::after(LONG)).unwrap();
                        passed.send(()).unwrap();
                        drop(passage);
                    }
                });
            }
        });
        drop(passed);
        assert_eq!(passes.iter().count(), gates.len() * TURNS as usize);
    }

    #[test]
    fn a_line_that_polls_ends_with_the_lock_or_with_the_time() {
        let line = poll::Line::open(&tempfile::tempfile().unwrap()).unwrap();
        let tries = std::cell::Cell::new(0);
        let at_third_try = || {
            tries.set(tries.get() + 1);
            Ok(tries.get() == 3)
        };
        assert!(line.wait(&Deadline::after(LONG), at_third_try).unwrap());
        line.enter();
        assert_eq!(line.holder(), None);
        line.leave();
        line.wake();
        assert!(!line.wait(&soon(), || Ok(false)).unwrap());
    }
}
