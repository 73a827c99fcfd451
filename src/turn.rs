//! The advisory turn: writers who keep losing the race take turns.
//!
//! Optimistic writers need no lock to be correct; the turn only keeps a slow one from starving.
//! So nobody has to take it, and nobody waits for it without end.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::location::create_private_file;

const FIRST_SLEEP: Duration = Duration::from_micros(50);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// A turn among the writers of all processes and threads. Dropping it passes it on, and so does
/// the death of the process.
#[derive(Debug)]
pub struct Turn {
    // Closing the only descriptor of an open file releases its flock.
    _file: File,
}

/// Waits at most `wait` for the turn; `None` when the time is over.
pub fn take(dir: &Path, wait: Duration) -> Result<Option<Turn>> {
    let file = create_private_file(&dir.join("turn.lock"))?;
    let deadline = Instant::now() + wait;
    let mut sleep = FIRST_SLEEP;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(Turn { _file: file })),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(Error::io("lock turn.lock", error)),
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        std::thread::sleep(sleep.min(left));
        sleep = (sleep * 2).min(LONGEST_SLEEP);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_writer_has_the_turn_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = take(dir.path(), Duration::ZERO).unwrap().unwrap();
        assert!(take(dir.path(), Duration::ZERO).unwrap().is_none());
        assert!(take(dir.path(), Duration::from_millis(3)).unwrap().is_none());
        drop(first);
        assert!(take(dir.path(), Duration::ZERO).unwrap().is_some());
    }

    #[test]
    fn a_waiting_writer_gets_the_turn_when_it_is_passed_on() {
        let dir = tempfile::tempdir().unwrap();
        let first = take(dir.path(), Duration::ZERO).unwrap().unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| take(dir.path(), Duration::from_secs(60)).unwrap());
            drop(first);
            assert!(waiting.join().unwrap().is_some());
        });
    }
}
