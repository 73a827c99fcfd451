//! Which filesystems can hold a store, and how much room they have.
//!
//! LMDB needs `mmap(MAP_SHARED)` that is coherent between processes and locks that all of them
//! see (lmdb.h, "Caveats": "Do not use LMDB databases on remote filesystems").

use std::path::Path;

use crate::error::{Error, Result};

/// Refuses network and cluster filesystems, and those that pass files through another machine or
/// process.
///
/// # Errors
/// [`Error::UnsupportedFilesystem`] with the name of the filesystem.
pub fn check(dir: &Path) -> Result<()> {
    match unreliable_filesystem(dir)? {
        Some(filesystem) => {
            Err(Error::UnsupportedFilesystem { path: dir.to_path_buf(), filesystem })
        }
        None => Ok(()),
    }
}

/// Bytes that an unprivileged user may still write to the filesystem of the directory. Where the
/// platform does not say, as many as there can be.
pub fn available_bytes(dir: &Path) -> Result<u64> {
    #[cfg(unix)]
    {
        let stat = rustix::fs::statvfs(dir)
            .map_err(|error| Error::io("could not ask for the free space", error.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
    #[cfg(not(unix))]
    {
        let _ = dir;
        Ok(u64::MAX)
    }
}

/// Whether the filesystem may need a new block to overwrite an old one, and kills who stores into a
/// mapped page when there is none.
pub(crate) fn needs_room_to_overwrite(dir: &Path) -> Result<bool> {
    #[cfg(target_os = "linux")]
    return kind_of(dir).map(copies_on_write);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = dir;
        Ok(false)
    }
}

#[cfg(target_os = "linux")]
fn unreliable_filesystem(dir: &Path) -> Result<Option<String>> {
    Ok(unreliable_kind(kind_of(dir)?).map(str::to_owned))
}

/// The number of the kind of filesystem.
#[cfg(target_os = "linux")]
fn kind_of(dir: &Path) -> Result<u32> {
    let stat = rustix::fs::statfs(dir)
        .map_err(|error| Error::io("could not ask for the kind of filesystem", error.into()))?;
    // The kernel's numbers have 32 bits; the field is as wide as a word and may be negative.
    Ok((stat.f_type as u64 & 0xFFFF_FFFF) as u32)
}

/// btrfs, bcachefs and nilfs2 never overwrite; what lies below an overlayfs is not to be seen.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn copies_on_write(magic: u32) -> bool {
    matches!(magic, 0x9123_683E | 0xCA45_1A4E | 0x0000_3434 | 0x794C_7630)
}

#[cfg(target_os = "macos")]
fn unreliable_filesystem(dir: &Path) -> Result<Option<String>> {
    const MNT_LOCAL: u32 = 0x1000; // sys/mount.h: "file system is stored locally"
    let stat = rustix::fs::statfs(dir)
        .map_err(|error| Error::io("could not ask for the kind of filesystem", error.into()))?;
    if stat.f_flags & MNT_LOCAL != 0 {
        return Ok(None);
    }
    let name = stat.f_fstypename.iter().map(|byte| *byte as u8).take_while(|byte| *byte != 0);
    Ok(Some(String::from_utf8_lossy(&name.collect::<Vec<_>>()).into_owned()))
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn unreliable_filesystem(dir: &Path) -> Result<Option<String>> {
    // A network share without a drive letter is all that can be told without the Windows API.
    use std::path::{Component, Prefix};
    let share = dir.components().any(|component| match component {
        Component::Prefix(prefix) => {
            matches!(prefix.kind(), Prefix::UNC(..) | Prefix::VerbatimUNC(..))
        }
        _ => false,
    });
    Ok(share.then(|| "a network share".to_owned()))
}

/// The name of a filesystem that cannot hold a store, by the number that `statfs` gives
/// (linux/magic.h, and the table in coreutils' stat.c for those outside the kernel). What is not
/// in the list is local.
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
fn unreliable_kind(magic: u32) -> Option<&'static str> {
    Some(match magic {
        0x0000_6969 => "nfs",
        0x0000_517B => "smb",
        0x0000_564C => "ncp",
        0x00C3_6400 => "ceph",
        0x0102_1997 => "9p",
        0x0116_1970 => "gfs2",
        0x0131_11A8 => "ibrix",
        0x0BD0_0BD0 => "lustre",
        0x1983_0326 => "beegfs",
        0x2003_0528 => "orangefs",
        0x4750_4653 => "gpfs",
        0x5346_414F | 0x6B41_4653 => "afs",
        0x6163_6673 => "acfs",
        // Also virtiofs, sshfs, and the shared folders of container desktops.
        0x6573_5546 => "fuse",
        0x7375_7245 => "coda",
        0x7461_636F => "ocfs2",
        0x786F_4256 => "vboxsf",
        0x7C7C_6673 => "prl_fs",
        0xAAD7_AAEA => "panfs",
        0xBACB_ACBC => "vmhgfs",
        0xBEEF_DEAD => "snfs",
        0xFE53_4D42 => "smb2",
        0xFF53_4D42 => "cifs",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn network_and_cluster_filesystems_are_named() {
        for (magic, name) in
            [(0x6969, "nfs"), (0xFF53_4D42, "cifs"), (0x0102_1997, "9p"), (0x6573_5546, "fuse")]
        {
            assert_eq!(unreliable_kind(magic), Some(name));
        }
    }

    #[test]
    fn local_filesystems_are_allowed() {
        let ext4 = 0xEF53;
        let xfs = 0x5846_5342;
        let btrfs = 0x9123_683E;
        let tmpfs = 0x0102_1994;
        let overlayfs = 0x794C_7630;
        let zfs = 0x2FC1_2FC1;
        for magic in [ext4, xfs, btrfs, tmpfs, overlayfs, zfs] {
            assert_eq!(unreliable_kind(magic), None);
        }
        assert!([btrfs, overlayfs].into_iter().all(copies_on_write));
        assert!(![ext4, xfs, tmpfs].into_iter().any(copies_on_write));
    }

    #[test]
    fn a_local_directory_passes_and_has_room() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check(dir.path()).is_ok());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn another_filesystem_than_the_root_is_recognised_by_its_own_number() {
        let stat = rustix::fs::statfs("/proc").unwrap();
        assert_eq!(stat.f_type as u64, 0x9FA0);
    }
}
