//! What an opener that is alone does about commits that were never synced.
//!
//! Under the run of the kernel that made them they are in its page cache, whoever was killed: a
//! sync brings them to the disk. Under another run nobody knows which of their pages are there, so
//! the store goes back to the last checkpoint, whose pages nobody has overwritten since. Before
//! that, the file says so: power may go at any of these steps, and the next opener begins again.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use super::file::{BootId, NO_BOOT, Recovery, Slot, SlotFile, State};
use crate::environment::data_file;
use crate::error::{Error, Result};
use crate::expiry::now_ms;
use crate::marker;
use crate::page::{self, Meta};
use crate::weakened;

/// Looks at the file `checkpoint` before anybody maps the data file. Returns whether the store went
/// back in time: then its versions must jump, and `finish` ends the recovery.
///
/// The caller holds the lock of openers, and no other process has the store open.
pub(crate) fn recover(dir: &Path, store_id: &str) -> Result<bool> {
    recover_as(dir, store_id, super::file::boot_id())
}

pub(super) fn recover_as(dir: &Path, store_id: &str, boot_id: Option<BootId>) -> Result<bool> {
    let Some(slots) = SlotFile::open(dir)? else { return Ok(false) };
    let Some((sequence, slot)) = slots.newest()? else { return Ok(false) };
    if slot.store_id != store_id.as_bytes() {
        // It came with another store, whose files were replaced.
        return Ok(false);
    }
    let data = match File::options().read(true).write(true).open(data_file(dir)) {
        // The preflight says what is wrong.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        data => data.map_err(|error| Error::io("could not open data.mdb", error))?,
    };
    match slot.state {
        State::Synced => Ok(false),
        State::Active if boot_id.is_some_and(|id| id == slot.boot_id && id != NO_BOOT) => {
            data.sync_data().map_err(|error| Error::io("could not sync data.mdb", error))?;
            end(&slots, sequence, slot)?;
            Ok(false)
        }
        _ if weakened::skips("recovery") => Ok(false),
        State::Active | State::Recovering => go_back(&slots, &data, sequence, slot),
    }
}

/// The state to which the next opener goes back; `None` where it is that of the newest meta page.
/// For who looks at a store that nobody has open, and changes nothing.
pub(crate) fn pending(dir: &Path, data: &File) -> Option<Meta> {
    let marker = marker::read(dir).ok().flatten()?;
    let (_, slot) = SlotFile::open(dir).ok().flatten()?.newest().ok().flatten()?;
    let meta = page::parse_meta(&slot.meta).ok()?;
    let is_lost = match slot.state {
        State::Synced => false,
        State::Active => {
            super::file::boot_id() != Some(slot.boot_id)
                && newest_txn(data, &meta).is_none_or(|newest| newest >= meta.txn_id)
        }
        State::Recovering => true,
    };
    (is_lost && slot.store_id == marker.store_id.as_bytes()).then_some(meta)
}

/// Ends the recovery of a store whose versions have jumped.
pub(crate) fn finish(dir: &Path) -> Result<()> {
    let Some(slots) = SlotFile::open(dir)? else { return Ok(()) };
    match slots.newest()? {
        Some((sequence, slot)) => end(&slots, sequence, slot),
        None => Ok(()),
    }
}

fn end(slots: &SlotFile, sequence: u64, slot: Slot) -> Result<()> {
    append(slots, sequence + 1, &Slot { state: State::Synced, ..slot })
}

fn append(slots: &SlotFile, sequence: u64, slot: &Slot) -> Result<()> {
    slots.append(sequence, slot).map_err(|error| Error::io("could not write a checkpoint", error))
}

fn go_back(slots: &SlotFile, data: &File, sequence: u64, mut slot: Slot) -> Result<bool> {
    let damaged = |error| Error::Corrupt(format!("the checkpoint's meta page: {error:?}"));
    let meta = page::parse_meta(&slot.meta).map_err(damaged)?;
    if meta.txn_id != slot.txn_id {
        return Err(Error::Corrupt("the checkpoint's meta page is of another commit".into()));
    }
    if slot.state == State::Active {
        let newest = newest_txn(data, &meta);
        if newest.is_some_and(|newest| newest < meta.txn_id) {
            // Both meta pages are sound and older than a commit that was on the disk: somebody
            // put back a copy of the data file from before.
            end(slots, sequence, slot)?;
            return Ok(false);
        }
        slot.recovery = Some(Recovery {
            commits: newest.map_or(0, |newest| newest - meta.txn_id),
            version: slot.version,
            since_ms: slot.at_ms,
            at_ms: now_ms(),
        });
        slot.state = State::Recovering;
        append(slots, sequence + 1, &slot)?;
    }
    let older = 1 - (meta.txn_id & 1);
    for (number, txn_id) in [(older, meta.txn_id.saturating_sub(1)), (1 - older, meta.txn_id)] {
        let bytes = page::meta_page_at(number, txn_id, &slot.meta);
        page::write_all_at(data, &bytes, number * meta.page_bytes)
            .map_err(|error| Error::io("could not write a meta page", error))?;
    }
    data.sync_data().map_err(|error| Error::io("could not sync data.mdb", error))?;
    Ok(true)
}

/// The newest commit that the meta pages name. One that is torn names none; `None` where both
/// are.
fn newest_txn(data: &File, like: &Meta) -> Option<u64> {
    let txn_at = |offset| page::read_meta(data, offset).ok().map(|meta| meta.txn_id);
    match (txn_at(0), txn_at(like.page_bytes)) {
        (Some(first), Some(second)) => Some(first.max(second)),
        // The torn one may have been the newer.
        (one, other) => one.or(other).map(|txn_id| txn_id.max(like.txn_id)),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::environment::Environment;
    use crate::limits::{DEFAULT_MAP_BYTES, MAX_READERS, VERSION_JUMP};
    use crate::{Batch, Durability, OpenOptions, Store, Ttl, preflight};

    const OTHER_BOOT: Option<BootId> = Some([7; 16]);

    fn open(dir: &Path, durability: Durability) -> Store {
        let flush_interval = Some(std::time::Duration::from_secs(3_600));
        let path = Some(dir.to_owned());
        Store::open(&OpenOptions { path, durability, flush_interval, ..OpenOptions::default() })
            .unwrap()
    }

    fn set(store: &Store, number: u64) -> u64 {
        let value = crate::value::from_json(&number.into()).unwrap();
        store.namespace("numbers").unwrap().set("n", &value, Ttl::Never, None, None).unwrap()
    }

    fn get(store: &Store) -> Option<serde_json::Value> {
        store.namespace("numbers").unwrap().get_json("n").unwrap()
    }

    /// The files of a store whose processes were killed with ten commits after the checkpoint of
    /// the value 1; and the version of that.
    fn killed() -> (tempfile::TempDir, String, u64) {
        let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = open(dir.path(), Durability::Relaxed);
        let kept = set(&store, 1);
        store.flush().unwrap();
        (0..10).for_each(|number| assert!(set(&store, 100 + number) > kept));
        for file in ["data.mdb", "commonhold.json", super::super::file::NAME] {
            std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
        }
        let store_id = marker::read(copy.path()).unwrap().unwrap().store_id;
        (copy, store_id, kept)
    }

    #[test]
    fn under_the_same_kernel_all_commits_are_kept() {
        let (dir, store_id, _) = killed();
        let boot_id = super::super::file::boot_id();
        assert!(!recover_as(dir.path(), &store_id, boot_id).unwrap());
        // Now another kernel finds all on the disk.
        assert!(!recover_as(dir.path(), &store_id, OTHER_BOOT).unwrap());
        assert_eq!(get(&open(dir.path(), Durability::Strict)), Some(109.into()));
    }

    #[test]
    fn a_recovery_that_is_cut_short_at_any_step_ends_the_same_way() {
        // What was done before power went: nothing more, the versions' jump, writes of an opener
        // that never finished.
        for step in 0..3 {
            let (dir, store_id, kept) = killed();
            for _ in 0..3 {
                assert!(recover_as(dir.path(), &store_id, OTHER_BOOT).unwrap(), "step {step}");
                preflight::preallocate_lock_file(dir.path(), MAX_READERS, false).unwrap();
                (0..step).for_each(|_| {
                    Environment::jump_versions(dir.path(), DEFAULT_MAP_BYTES).unwrap();
                });
            }
            for boot in [OTHER_BOOT, super::super::file::boot_id()] {
                assert!(recover_as(dir.path(), &store_id, boot).unwrap());
            }
            let store = open(dir.path(), Durability::Strict);
            assert_eq!(get(&store), Some(1.into()));
            let stats = store.stats().unwrap();
            let recovery = stats.recovery.unwrap();
            assert_eq!((recovery.commits, recovery.version), (10, kept));
            // Once: what was rolled back counts as never written.
            assert_eq!(stats.last_version, kept + 1 + VERSION_JUMP);
            assert!(set(&store, 2) > stats.last_version);
            store.close();
            assert!(!recover_as(dir.path(), &store_id, OTHER_BOOT).unwrap());
        }
    }

    #[test]
    fn a_torn_meta_page_is_mended() {
        for number in 0..2 {
            let (dir, _, kept) = killed();
            let data = File::options().read(true).write(true).open(data_file(dir.path())).unwrap();
            page::write_all_at(&data, &[0x5A; 100], number * 4096).unwrap();
            let store_id = marker::read(dir.path()).unwrap().unwrap().store_id;
            assert!(recover_as(dir.path(), &store_id, OTHER_BOOT).unwrap());
            let store = open(dir.path(), Durability::Relaxed);
            assert_eq!(get(&store), Some(1.into()));
            assert_eq!(store.stats().unwrap().recovery.unwrap().version, kept);
            store.commit(&Batch::new()).unwrap();
        }
    }
}
