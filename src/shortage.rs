//! Which limit a write has met, and the room that is left for the store alone.
//!
//! A full disk, a quota and a limit on the size of files are no reason to distrust the disk: LMDB
//! writes a commit's meta page last, so one that met a limit has left nothing behind, and the next
//! one writes all of its pages again.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::environment::data_file;
use crate::error::Result;
use crate::filesystem::{available_bytes, needs_room_to_overwrite};
use crate::limits::{
    COMMIT_FLOOR_BYTES, READ_FLOOR_BYTES, REMOVAL_FLOOR_BYTES, ROOM_ASKED_EVERY_MS,
    ROOM_ENOUGH_BYTES,
};

/// The limit that a write has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shortage {
    /// The filesystem is full.
    Disk,
    /// The quota of the user, the group or the project is used up.
    Quota,
    /// The process may not write files of this size (`ulimit -f`), or the filesystem has none.
    FileSize,
    /// So little is free that the filesystem could kill the process.
    Floor,
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Shortage::Disk => {
                "no space left on the device that holds the store: free some and try again"
            }
            Shortage::Quota => {
                "the disk quota of this user, group or project is used up: free some space and \
                 try again, or have the quota raised"
            }
            Shortage::FileSize => {
                "the store has reached the limit on the size of a file (ulimit -f): delete what \
                 is no longer needed, or start the process with a higher limit"
            }
            Shortage::Floor => {
                "next to no space is left on the device that holds the store, and its filesystem \
                 could kill the process when there is none: free some and try again"
            }
        })
    }
}

impl Shortage {
    /// The limit that the system's error names.
    pub(crate) fn of(error: &std::io::Error) -> Option<Shortage> {
        match error.kind() {
            // The system's own errors have a number, ours has none.
            ErrorKind::StorageFull if error.raw_os_error().is_none() => Some(Shortage::Floor),
            ErrorKind::StorageFull => Some(Shortage::Disk),
            ErrorKind::QuotaExceeded => Some(Shortage::Quota),
            ErrorKind::FileTooLarge => Some(Shortage::FileSize),
            _ => None,
        }
    }

    /// Looks for the limit that has cut a write of about so many bytes short. LMDB reports EIO
    /// then, as it does where the device fails.
    pub(crate) fn find(dir: &Path, bytes: u64) -> Option<Shortage> {
        /// What a commit writes beside the bytes of its batch.
        const PAGES_BYTES: u64 = 1024 * 1024;
        let needed = bytes.saturating_add(PAGES_BYTES);
        let present = std::fs::metadata(data_file(dir)).map_or(0, |metadata| metadata.len());
        if file_size_limit().is_some_and(|limit| present.saturating_add(needed) > limit) {
            return Some(Shortage::FileSize);
        }
        let error = allocate(dir, needed).err()?;
        match Shortage::of(&error) {
            Some(met @ (Shortage::Disk | Shortage::Quota)) => Some(met),
            // The filesystem cannot be asked so, or not for so much at once.
            _ => {
                let is_full = available_bytes(dir).is_ok_and(|available| available < needed);
                is_full.then_some(Shortage::Disk)
            }
        }
    }
}

/// Takes so many bytes of the disk, and gives them back. Only the filesystem knows all the limits
/// that apply to this process: reserves for root, quotas of users, groups and directories.
#[cfg(target_os = "linux")]
fn allocate(dir: &Path, bytes: u64) -> std::io::Result<()> {
    use rustix::fs::{FallocateFlags, Mode, OFlags};
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file: File = rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR)?.into();
    Ok(rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, bytes)?)
}

#[cfg(not(target_os = "linux"))]
fn allocate(_: &Path, _: u64) -> std::io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// The size beyond which this process may not write a file.
fn file_size_limit() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    #[cfg(not(unix))]
    None
}

/// Keeps a little room free on filesystems that need a new block even to overwrite an old one. On
/// them a store into a mapped page, such as LMDB's lock, ends the process with SIGBUS when there
/// is none left (hazard 18).
pub(crate) struct Floor {
    dir: PathBuf,
    opened: Instant,
    /// When the filesystem was asked last, in ms since `opened`.
    asked_at_ms: AtomicU64,
    available_bytes: AtomicU64,
}

/// What is about to be done.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Access {
    /// A snapshot begins: its slot in lock.mdb is written to.
    Read,
    /// A commit that makes room in the file.
    Remove,
    /// A commit of so many bytes.
    Write(u64),
}

impl Floor {
    /// The floor of a directory, where it needs one.
    pub fn of(dir: &Path) -> Result<Option<Floor>> {
        Ok(needs_room_to_overwrite(dir)?.then(|| Floor {
            dir: dir.to_owned(),
            opened: Instant::now(),
            asked_at_ms: AtomicU64::new(0),
            available_bytes: AtomicU64::new(0),
        }))
    }

    /// Fails where so little is left that the process could be killed.
    pub fn check(&self, access: Access) -> std::io::Result<()> {
        let needed = match access {
            Access::Read => READ_FLOOR_BYTES,
            Access::Remove => REMOVAL_FLOOR_BYTES,
            // Old pages stay until the commit is done, and some are not full.
            Access::Write(bytes) => (bytes + bytes / 4).saturating_add(COMMIT_FLOOR_BYTES),
        };
        if self.has(needed) { Ok(()) } else { Err(ErrorKind::StorageFull.into()) }
    }

    /// As long as there is plenty, an answer a few milliseconds old will do: nobody writes so much
    /// in so short a time.
    fn has(&self, needed: u64) -> bool {
        let now_ms = self.opened.elapsed().as_millis() as u64;
        let is_recent =
            now_ms - self.asked_at_ms.load(Ordering::Relaxed).min(now_ms) < ROOM_ASKED_EVERY_MS;
        let known = self.available_bytes.load(Ordering::Relaxed);
        if is_recent && known >= needed.saturating_add(ROOM_ENOUGH_BYTES) {
            return true;
        }
        // A filesystem that does not answer gives no reason to refuse.
        let available = available_bytes(&self.dir).unwrap_or(u64::MAX);
        self.available_bytes.store(available, Ordering::Relaxed);
        self.asked_at_ms.store(now_ms, Ordering::Relaxed);
        available >= needed
    }
}

/// Has a new, empty file overwritten in place, where the filesystem knows the difference: then the
/// pages of a full btrfs can be written to as long as they are not shared with a snapshot of the
/// filesystem (Linux 6.17 or newer).
pub(crate) fn keep_in_place(file: &File) {
    #[cfg(target_os = "linux")]
    if let Ok(flags) = rustix::fs::ioctl_getflags(file) {
        // Not every filesystem has the flag, and those that lack it need it least.
        let _ = rustix::fs::ioctl_setflags(file, flags | rustix::fs::IFlags::NOCOW);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = file;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_disk_with_room_shows_no_shortage_and_one_without_does() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Shortage::find(dir.path(), 0), None);
        assert_eq!(Shortage::find(dir.path(), 1 << 60), Some(Shortage::Disk));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
    }

    #[test]
    fn every_limit_is_told_from_its_error() {
        let of = |kind: ErrorKind| Shortage::of(&kind.into());
        assert_eq!(of(ErrorKind::QuotaExceeded), Some(Shortage::Quota));
        assert_eq!(of(ErrorKind::FileTooLarge), Some(Shortage::FileSize));
        assert_eq!(of(ErrorKind::StorageFull), Some(Shortage::Floor));
        assert_eq!(of(ErrorKind::PermissionDenied), None);
        #[cfg(target_os = "linux")]
        assert_eq!(
            Shortage::of(&std::io::Error::from_raw_os_error(28)),
            Some(Shortage::Disk),
            "ENOSPC"
        );
    }

    #[test]
    fn a_floor_lets_removals_go_on_longer_than_writes_and_reads_longest() {
        let dir = tempfile::tempdir().unwrap();
        let floor = Floor {
            dir: dir.path().join("gone"),
            opened: Instant::now(),
            asked_at_ms: AtomicU64::new(0),
            available_bytes: AtomicU64::new(0),
        };
        assert!(floor.check(Access::Write(1)).is_ok(), "no answer is no refusal");
        const { assert!(READ_FLOOR_BYTES < REMOVAL_FLOOR_BYTES) };
        const { assert!(REMOVAL_FLOOR_BYTES < COMMIT_FLOOR_BYTES) };
        let floor = Floor { dir: dir.path().to_owned(), ..floor };
        floor.available_bytes.store(0, Ordering::Relaxed);
        assert!(floor.check(Access::Read).is_ok());
        assert!(floor.check(Access::Write(1 << 60)).is_err(), "more than any disk has");
    }
}
