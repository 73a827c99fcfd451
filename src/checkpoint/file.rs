//! The file `checkpoint`: which commit is known to be on the disk (docs/format.md).
//!
//! Two slots, written in turn, so that a cut in the middle of a write leaves the other. Whoever
//! writes has passed the gate, or is alone and holds the lock of openers.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::location::{check_file, create_private_file};
use crate::marker::sync_directory;
use crate::page::{META_PAGE_BYTES, read_exact_at, write_all_at};
use crate::record::u64_at;

/// Path of the file inside a store's directory.
pub(super) const NAME: &str = "checkpoint";

const MAGIC: &[u8; 8] = b"chckpt01";
const SLOT_BYTES: usize = 512;
/// A block of the file for each slot, so that no write touches both.
const SLOT_SPACING: u64 = 4096;
const FILE_BYTES: u64 = 2 * SLOT_SPACING;
const CHECKSUM_AT: usize = 8;
const BODY_AT: usize = 12;
const STATE_AT: usize = 12;
const SEQUENCE_AT: usize = 16;
const BOOT_AT: usize = 24;
const STORE_AT: usize = 40;
const TXN_AT: usize = 72;
const VERSION_AT: usize = 80;
const TIME_AT: usize = 88;
const RECOVERY_AT: usize = 96;
const META_AT: usize = 128;

/// The identity of one run of the kernel: what its page cache holds is gone under another one.
pub(super) type BootId = [u8; 16];

/// No run of the kernel: what was written since the checkpoint is not to be trusted.
pub(super) const NO_BOOT: BootId = [0; 16];

/// What the file says about the data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Every commit was synced: the newest meta page is the truth.
    Synced = 1,
    /// Commits after the checkpoint may not be on the disk.
    Active = 2,
    /// A recovery goes back to the checkpoint, and has not finished.
    Recovering = 3,
}

/// What the newest recovery rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// How many commits were lost at least.
    pub commits: u64,
    /// The version of the commit that the store went back to.
    pub version: u64,
    /// The time of the checkpoint that the store went back to, in milliseconds since 1970.
    pub since_ms: u64,
    /// When it was recovered, in milliseconds since 1970.
    pub at_ms: u64,
}

/// A slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub state: State,
    pub boot_id: BootId,
    /// 32 hexadecimal digits.
    pub store_id: [u8; 32],
    /// The newest commit that is on the disk.
    pub txn_id: u64,
    /// Its version.
    pub version: u64,
    /// When the checkpoint was taken, in milliseconds since 1970.
    pub at_ms: u64,
    /// The beginning of the meta page of that commit.
    pub meta: [u8; META_PAGE_BYTES],
    pub recovery: Option<Recovery>,
}

/// The open file.
pub(super) struct SlotFile(File);

impl SlotFile {
    /// Opens the file, or makes one that survives a power cut.
    pub fn create(dir: &Path) -> Result<SlotFile> {
        let failed = |error| Error::io("could not create the file of checkpoints", error);
        let slots = SlotFile(create_private_file(&dir.join(NAME))?);
        let file = &slots.0;
        if file.metadata().map_err(failed)?.len() < FILE_BYTES {
            // Zeros rather than a hole: later writes shall need no more room.
            (&*file).write_all(&[0; FILE_BYTES as usize]).map_err(failed)?;
        }
        if slots.newest()?.is_none() {
            // Also where the zeros are there: whoever wrote them may have been killed before the
            // name of the file was on the disk.
            file.sync_all().and_then(|()| sync_directory(dir)).map_err(failed)?;
        }
        Ok(slots)
    }

    /// Opens the file if there is one.
    pub fn open(dir: &Path) -> Result<Option<SlotFile>> {
        let path = dir.join(NAME);
        check_file(&path)?;
        match File::options().read(true).write(true).open(&path) {
            Ok(file) => Ok(Some(SlotFile(file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::io("could not open the file of checkpoints", error)),
        }
    }

    /// The newest slot with its sequence number, or `None` where none was ever finished.
    pub fn newest(&self) -> Result<Option<(u64, Slot)>> {
        let mut newest: Option<(u64, Slot)> = None;
        let mut damaged = 0;
        for number in 0..2 {
            let mut bytes = [0; SLOT_BYTES];
            match read_exact_at(&self.0, &mut bytes, number * SLOT_SPACING) {
                // A creation that was cut short.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => continue,
                read => read.map_err(|error| Error::io("could not read a checkpoint", error))?,
            }
            match Slot::decode(&bytes) {
                Some(found) if newest.as_ref().is_none_or(|(newest, _)| *newest < found.0) => {
                    newest = Some(found);
                }
                Some(_) => {}
                None => damaged += u32::from(bytes.iter().any(|byte| *byte != 0)),
            }
        }
        if damaged == 2 {
            // One is torn when power goes while it is written; never both.
            return Err(Error::Corrupt("both slots of the file checkpoint are damaged".into()));
        }
        Ok(newest)
    }

    /// Writes the next slot, and waits until it is on the disk.
    pub fn append(&self, sequence: u64, slot: &Slot) -> io::Result<()> {
        let at = (sequence & 1) * SLOT_SPACING;
        write_all_at(&self.0, &slot.encode(sequence), at)?;
        self.0.sync_data()
    }
}

impl Slot {
    fn encode(&self, sequence: u64) -> [u8; SLOT_BYTES] {
        let mut bytes = [0; SLOT_BYTES];
        let mut put = |at: usize, field: &[u8]| {
            if let Some(place) = bytes.get_mut(at..at + field.len()) {
                place.copy_from_slice(field);
            }
        };
        put(0, MAGIC);
        put(STATE_AT, &(self.state as u32).to_le_bytes());
        put(SEQUENCE_AT, &sequence.to_le_bytes());
        put(BOOT_AT, &self.boot_id);
        put(STORE_AT, &self.store_id);
        put(TXN_AT, &self.txn_id.to_le_bytes());
        put(VERSION_AT, &self.version.to_le_bytes());
        put(TIME_AT, &self.at_ms.to_le_bytes());
        if let Some(recovery) = &self.recovery {
            let Recovery { commits, version, since_ms, at_ms } = *recovery;
            for (index, field) in [commits, version, since_ms, at_ms].into_iter().enumerate() {
                put(RECOVERY_AT + index * 8, &field.to_le_bytes());
            }
        }
        put(META_AT, &self.meta);
        let checksum = crc32c::crc32c(bytes.get(BODY_AT..).unwrap_or_default());
        if let Some(place) = bytes.get_mut(CHECKSUM_AT..BODY_AT) {
            place.copy_from_slice(&checksum.to_le_bytes());
        }
        bytes
    }

    /// The sequence number and the slot; `None` where it is torn, damaged or was never written.
    fn decode(bytes: &[u8; SLOT_BYTES]) -> Option<(u64, Slot)> {
        let word = |at: usize| -> Option<u32> {
            bytes.get(at..)?.first_chunk().copied().map(u32::from_le_bytes)
        };
        let checksum = crc32c::crc32c(bytes.get(BODY_AT..)?);
        if !bytes.starts_with(MAGIC) || word(CHECKSUM_AT)? != checksum {
            return None;
        }
        let state = [State::Synced, State::Active, State::Recovering]
            .into_iter()
            .find(|state| word(STATE_AT) == Some(*state as u32))?;
        let recovery = Recovery {
            commits: u64_at(bytes, RECOVERY_AT)?,
            version: u64_at(bytes, RECOVERY_AT + 8)?,
            since_ms: u64_at(bytes, RECOVERY_AT + 16)?,
            at_ms: u64_at(bytes, RECOVERY_AT + 24)?,
        };
        let slot = Slot {
            state,
            boot_id: *bytes.get(BOOT_AT..)?.first_chunk()?,
            store_id: *bytes.get(STORE_AT..)?.first_chunk()?,
            txn_id: u64_at(bytes, TXN_AT)?,
            version: u64_at(bytes, VERSION_AT)?,
            at_ms: u64_at(bytes, TIME_AT)?,
            meta: *bytes.get(META_AT..)?.first_chunk()?,
            recovery: (recovery.at_ms > 0).then_some(recovery),
        };
        Some((u64_at(bytes, SEQUENCE_AT)?, slot))
    }
}

/// The identity of this run of the kernel; `None` where the system does not tell.
pub(super) fn boot_id() -> Option<BootId> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.trim().split('-').collect();
    let id = u128::from_str_radix(&digits, 16).ok()?.to_be_bytes();
    (digits.len() == 32 && id != NO_BOOT).then_some(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn slot(txn_id: u64) -> Slot {
        Slot {
            state: State::Active,
            boot_id: [3; 16],
            store_id: *b"0123456789abcdef0123456789abcdef",
            txn_id,
            version: txn_id + 7,
            at_ms: 1_795_370_820_123,
            meta: [9; META_PAGE_BYTES],
            recovery: Some(Recovery { commits: 4, version: 5, since_ms: 6, at_ms: 7 }),
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_the_newest_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert!(SlotFile::open(dir.path()).unwrap().is_none());
        let file = SlotFile::create(dir.path()).unwrap();
        assert_eq!(file.newest().unwrap(), None);
        for sequence in 1..6 {
            file.append(sequence, &slot(sequence * 10)).unwrap();
            assert_eq!(file.newest().unwrap(), Some((sequence, slot(sequence * 10))));
        }
        let again = SlotFile::open(dir.path()).unwrap().unwrap();
        assert_eq!(again.newest().unwrap(), Some((5, slot(50))));
    }

    #[test]
    fn every_flipped_bit_of_the_newer_slot_leads_back_to_the_older() {
        let dir = tempfile::tempdir().unwrap();
        let file = SlotFile::create(dir.path()).unwrap();
        file.append(1, &slot(10)).unwrap();
        file.append(2, &slot(20)).unwrap();
        let good = slot(20).encode(2);
        for bit in 0..SLOT_BYTES * 8 {
            let mut bytes = good;
            bytes[bit / 8] ^= 1 << (bit % 8);
            write_all_at(&file.0, &bytes, 0).unwrap();
            assert_eq!(file.newest().unwrap(), Some((1, slot(10))), "bit {bit}");
        }
    }

    #[test]
    fn a_first_slot_that_is_torn_is_none_and_two_damaged_ones_are_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        let file = SlotFile::create(dir.path()).unwrap();
        let bytes = slot(10).encode(1);
        write_all_at(&file.0, &bytes[..200], SLOT_SPACING).unwrap();
        assert_eq!(file.newest().unwrap(), None);
        write_all_at(&file.0, &bytes[..200], 0).unwrap();
        assert!(matches!(file.newest(), Err(Error::Corrupt(_))));
    }

    #[test]
    fn a_file_that_was_cut_while_it_was_made_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(NAME), [0; 100]).unwrap();
        assert_eq!(SlotFile::open(dir.path()).unwrap().unwrap().newest().unwrap(), None);
        let file = SlotFile::create(dir.path()).unwrap();
        file.append(1, &slot(1)).unwrap();
        assert_eq!(file.newest().unwrap(), Some((1, slot(1))));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_its_boot_id() {
        assert!(boot_id().is_some());
    }
}
