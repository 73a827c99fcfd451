//! Room on the disk for removals.
//!
//! A removal writes new pages before it frees old ones, as every commit does, so on a full disk
//! nothing could be removed to make room. Each store therefore keeps a small file of nothing. A
//! removal that finds no room gives it up; it is there again once there is. Whoever opens the store
//! on a full disk takes a little of it, for its guard file.

use std::path::Path;

use crate::error::{Error, Result};
use crate::limits::{DISK_LOAN_BYTES, DISK_RESERVE_BYTES};
use crate::location::create_private_file;

const NAME: &str = "reserve";

/// Takes the room, where it is not taken yet. Returns whether it is.
pub(crate) fn fill(dir: &Path) -> Result<bool> {
    let path = dir.join(NAME);
    let bytes = path.metadata().map_or(0, |metadata| metadata.len());
    if bytes >= DISK_RESERVE_BYTES {
        return Ok(true);
    }
    let file = create_private_file(&path)?;
    match allocate(&file) {
        Ok(()) => Ok(true),
        // A length without room would promise what it cannot give; what it had stays.
        Err(_) => file.set_len(bytes).map(|()| false).map_err(|error| Error::io("truncate", error)),
    }
}

/// Gives up a little of the room, to an opener that found none. Returns whether there was any.
pub(crate) fn lend(dir: &Path) -> bool {
    let path = dir.join(NAME);
    let bytes = path.metadata().map_or(0, |metadata| metadata.len());
    let left = bytes.saturating_sub(DISK_LOAN_BYTES);
    bytes > 0 && create_private_file(&path).is_ok_and(|file| file.set_len(left).is_ok())
}

/// Gives the room up. Returns whether there was any.
pub(crate) fn release(dir: &Path) -> bool {
    let path = dir.join(NAME);
    let had_room = path.metadata().is_ok_and(|metadata| metadata.len() > 0);
    had_room && create_private_file(&path).is_ok_and(|file| file.set_len(0).is_ok())
}

#[cfg(target_os = "linux")]
fn allocate(file: &std::fs::File) -> std::io::Result<()> {
    let flags = rustix::fs::FallocateFlags::empty();
    Ok(rustix::fs::fallocate(file, flags, 0, DISK_RESERVE_BYTES)?)
}

#[cfg(not(target_os = "linux"))]
fn allocate(mut file: &std::fs::File) -> std::io::Result<()> {
    std::io::Write::write_all(&mut file, &[0; DISK_RESERVE_BYTES as usize])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_reserve_takes_room_once_and_gives_it_up_once() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!release(dir.path()));
        assert!(fill(dir.path()).unwrap() && fill(dir.path()).unwrap());
        let file = dir.path().join(NAME);
        assert_eq!(file.metadata().unwrap().len(), DISK_RESERVE_BYTES);
        assert!(release(dir.path()) && !release(dir.path()));
        assert_eq!(file.metadata().unwrap().len(), 0);
        assert!(fill(dir.path()).unwrap());
    }

    #[test]
    fn the_reserve_is_lent_in_small_parts_until_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!lend(dir.path()));
        assert!(!dir.path().join(NAME).exists());
        fill(dir.path()).unwrap();
        for part in 1..=DISK_RESERVE_BYTES / DISK_LOAN_BYTES {
            assert!(lend(dir.path()));
            let left = dir.path().join(NAME).metadata().unwrap().len();
            assert_eq!(left, DISK_RESERVE_BYTES - part * DISK_LOAN_BYTES);
        }
        assert!(!lend(dir.path()) && !release(dir.path()));
        assert!(fill(dir.path()).unwrap());
    }
}
