//! The lock of openers: one process at a time opens, creates or recovers a store.
//!
//! Its file says who holds it, for those who wait in vain: a pid in decimal, then the agent, each
//! with a line feed behind it. Empty while nobody does.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::{Error, Holder, Result};
use crate::limits::MAX_AGENT_BYTES;
use crate::location::create_private_file;

const FIRST_SLEEP: Duration = Duration::from_micros(50);
const LONGEST_SLEEP: Duration = Duration::from_millis(2);
const MAX_NOTE_BYTES: u64 = MAX_AGENT_BYTES as u64 + 16;

/// Held while a process opens, creates or recovers a store. Dropping it lets the next one in.
#[derive(Debug)]
pub struct OpenLock {
    // Closing the only descriptor of an open file releases its flock.
    file: File,
}

impl Drop for OpenLock {
    fn drop(&mut self) {
        // The note is for people; what cannot be erased is overwritten by the next one.
        let _ = self.file.set_len(0);
    }
}

/// Waits until no other process or thread opens this store, then keeps them waiting.
pub fn lock_open(dir: &Path, agent: &str, deadline: &Deadline) -> Result<OpenLock> {
    let mut file = create_private_file(&dir.join("open.lock"))?;
    if !try_until(&file, deadline).map_err(|error| Error::io("could not lock open.lock", error))? {
        let (waited_ms, holder) = (deadline.patience_ms(), read_note(&mut file));
        return Err(Error::Busy { waited_ms, doing: "opening the store", holder });
    }
    // Best effort, for instance on a full disk.
    let _ = file.set_len(0);
    let _ = file.write_all(format!("{}\n{agent}\n", std::process::id()).as_bytes());
    Ok(OpenLock { file })
}

/// Tries for a flock until the time is over.
pub(super) fn try_until(file: &File, deadline: &Deadline) -> std::io::Result<bool> {
    let mut sleep = FIRST_SLEEP;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let Some(left) = deadline.left() else { return Ok(false) };
        std::thread::sleep(sleep.min(left));
        sleep = (sleep * 2).min(LONGEST_SLEEP);
    }
}

fn read_note(file: &mut File) -> Option<Holder> {
    let mut note = String::new();
    file.rewind().ok()?;
    file.take(MAX_NOTE_BYTES).read_to_string(&mut note).ok()?;
    let (pid, agent) = note.strip_suffix('\n')?.split_once('\n')?;
    Some(Holder { pid: pid.parse().ok()?, agent: Some(agent.to_owned()) })
}
