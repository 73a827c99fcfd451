//! The gate before LMDB's lock of writers.
//!
//! That lock is a robust mutex. It survives the death of its holder, but not always that of a
//! process that was woken to take it: if a third one is quicker, and the woken one is killed
//! before it goes back to sleep, nobody knows that others still sleep (the bit that says so is
//! set by those who wait, and the kernel looks only at what the dead one held). They sleep until
//! there is contention again, which may be never: seen as a writer that hung after all others had
//! ended. A flock is kept by the kernel alone, so whoever dies, the next one gets it. Behind the
//! gate LMDB's lock is always free.

use std::fs::File;
use std::path::Path;

use crate::error::{Error, Result};
use crate::guard::lock;
use crate::location::create_private_file;

/// One process's door to the store's writer.
pub(crate) struct Gate {
    file: File,
}

/// The right to begin a write transaction. Dropping it lets the next writer in, and so does the
/// death of the process.
pub(crate) struct Passage<'g> {
    file: &'g File,
}

impl Gate {
    /// Opens the gate of the store in `dir`.
    pub fn open(dir: &Path) -> Result<Gate> {
        Ok(Gate { file: create_private_file(&dir.join("writer.lock"))? })
    }

    /// Waits until no other process writes. The caller holds the lock of this process's writers.
    pub fn pass(&self) -> Result<Passage<'_>> {
        lock(&self.file).map_err(|error| Error::io("could not lock writer.lock", error))?;
        Ok(Passage { file: &self.file })
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        // Fails for no file that could be locked.
        let _ = self.file.unlock();
    }
}
