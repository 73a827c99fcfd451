//! Room on the disk for removals.
//!
//! A removal writes new pages before it frees old ones, as every commit does, so on a full disk
//! nothing could be removed to make room. Each store therefore keeps a small file of nothing. A
//! removal that finds no room gives it up; it is there again once there is.

use std::path::Path;

use crate::error::{Error, Result};
use crate::limits::DISK_RESERVE_BYTES;
use crate::location::create_private_file;

const NAME: &str = "reserve";

/// Takes the room, where it is not taken yet. Returns whether it is.
pub(crate) fn fill(dir: &Path) -> Result<bool> {
    let path = dir.join(NAME);
    if path.metadata().is_ok_and(|metadata| metadata.len() >= DISK_RESERVE_BYTES) {
        return Ok(true);
    }
    let file = create_private_file(&path)?;
    match allocate(&file) {
        Ok(()) => Ok(true),
        // A file that has a length but no room would promise what it cannot give.
        Err(_) => file.set_len(0).map(|()| false).map_err(|error| Error::io("truncate", error)),
    }
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
}
