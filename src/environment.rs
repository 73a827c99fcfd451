//! One LMDB environment and its internal databases.
//!
//! The only module that opens a memory map. What may be mapped was checked before
//! (`preflight.rs`, `location.rs`, `guard.rs`).
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{
    CommitOrAbort, Env, EnvFlags, EnvOpenOptions, FlagSetMode, MdbError, RoTxn, WithoutTls,
};

use crate::changes;
use crate::error::{Error, Result};
use crate::limits::{
    MAX_DATABASES, MAX_READERS, MIN_MAP_BYTES, REMOVAL_RESERVE_BYTES, VERSION_JUMP,
};
use crate::record::{seal, u64_at, unseal};
use crate::shortage::{Access, Floor};
use crate::weakened;

/// A database of byte strings, usable within one transaction.
pub(crate) type Database<'txn> = heed::Database<'txn, Bytes, Bytes>;
/// A database of byte strings whose handle was committed.
pub(crate) type Handle = Database<'static>;
/// A read transaction that owns its environment and may move between threads.
pub(crate) type ReadTxn = RoTxn<'static, WithoutTls>;

pub(crate) const CATALOGUE: &str = "\u{1}catalogue";
pub(crate) const CHANGES: &str = "\u{1}changes";
pub(crate) const EXPIRY: &str = "\u{1}expiry";
pub(crate) const META: &str = "\u{1}meta";
pub(crate) const QUEUES: &str = "\u{1}queues";
pub(crate) const META_KEY: &[u8] = b"store";

/// An open environment. Dropping the last reference unmaps it.
pub(crate) struct Environment {
    pub lmdb: Env<WithoutTls>,
    /// Name -> version and counts, of every namespace that has a record.
    pub catalogue: Handle,
    /// Version, ordinal -> what changed (changes.rs).
    pub changes: Handle,
    /// Time of expiry -> namespace and key, of every record that expires.
    pub expiry: Handle,
    /// The tasks of all queues.
    pub queues: Handle,
    meta: Handle,
    /// The store's identity, which its marker repeats.
    pub store_id: String,
    /// What is added to a transaction id to make a version.
    pub version_base: u64,
    /// The room to leave free on the filesystem, where it needs some.
    floor: Option<Floor>,
    /// Which opening of this store in this process it is; handles belong to one.
    pub epoch: u64,
}

/// The row of the `meta` database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub store_id: String,
    pub version_base: u64,
}

impl Environment {
    /// Opens the environment of an existing store.
    pub fn open(dir: &Path, map_bytes: u64, epoch: u64) -> Result<Environment> {
        let floor = Floor::of(dir)?;
        let lmdb = map(dir, map_bytes)?;
        let txn = lmdb.clone().static_read_txn().map_err(|error| lmdb_error("begin", error))?;
        let opened = lmdb
            .open_databases_and_commit(txn, |opener, txn| {
                let catalogue = opener.open_database::<Bytes, Bytes>(txn, Some(CATALOGUE))?;
                let changes = opener.open_database::<Bytes, Bytes>(txn, Some(CHANGES))?;
                let expiry = opener.open_database::<Bytes, Bytes>(txn, Some(EXPIRY))?;
                let meta = opener.open_database::<Bytes, Bytes>(txn, Some(META))?;
                let queues = opener.open_database::<Bytes, Bytes>(txn, Some(QUEUES))?;
                let all = (catalogue, changes, expiry, meta, queues);
                heed::Result::Ok(CommitOrAbort::<_, ()>::Commit(all))
            })
            .map_err(|error| lmdb_error("open the store's databases", error))?
            .commit();
        let Some((Some(catalogue), Some(changes), Some(expiry), Some(meta), Some(queues))) = opened
        else {
            return Err(Error::Corrupt("an internal database is missing".into()));
        };
        let txn = lmdb.read_txn().map_err(|error| lmdb_error("begin", error))?;
        let row = meta.get(&txn, META_KEY).map_err(|error| lmdb_error("read", error))?;
        let Meta { store_id, version_base } = Meta::decode(row)?;
        drop(txn);
        Ok(Environment {
            lmdb,
            catalogue,
            changes,
            expiry,
            queues,
            meta,
            store_id,
            version_base,
            floor,
            epoch,
        })
    }

    /// Creates the internal databases of a new store and writes its identity, synced.
    pub fn create(dir: &Path, map_bytes: u64, store_id: &str) -> Result<()> {
        let lmdb = map(dir, map_bytes)?;
        let meta = Meta { store_id: store_id.to_owned(), version_base: 0 };
        write_meta(&lmdb, |_, _| meta)
    }

    /// Turns a copy of a store into a store of its own: a new identity, and versions that jump
    /// past every version of the original, because whoever uses the copy goes back in time.
    pub fn adopt_copy(dir: &Path, map_bytes: u64, store_id: &str, last_version: u64) -> Result<()> {
        let lmdb = map(dir, map_bytes)?;
        write_meta(&lmdb, |_, txn_id| Meta {
            store_id: store_id.to_owned(),
            version_base: last_version + VERSION_JUMP - txn_id,
        })
    }

    /// Has the versions of a store that went back in time jump past all that were lost, and its
    /// history forgotten; synced.
    pub fn jump_versions(dir: &Path, map_bytes: u64) -> Result<()> {
        let lmdb = map(dir, map_bytes.saturating_add(REMOVAL_RESERVE_BYTES))?;
        let txn = lmdb.read_txn().map_err(|error| lmdb_error("begin", error))?;
        let meta = lmdb
            .open_databases_and_commit(txn, |opener, txn| {
                let database = opener.open_database::<Bytes, Bytes>(txn, Some(META))?;
                let row = database.map(|database| database.get(txn, META_KEY)).transpose()?;
                heed::Result::Ok(CommitOrAbort::<(), _>::Abort(Meta::decode(row.flatten())))
            })
            .map_err(|error| lmdb_error("read the store's identity", error))?;
        let Some(Meta { store_id, version_base }) = meta.abort().transpose()? else {
            return Err(Error::Corrupt("the store has lost its identity".into()));
        };
        let version_base = version_base + VERSION_JUMP;
        write_meta(&lmdb, |_, _| Meta { store_id, version_base })
    }

    /// Whether commits wait until they are on the disk, as they do at first. The caller holds the
    /// writer's lock.
    pub fn set_synced(&self, is_synced: bool) -> heed::Result<()> {
        let mode = if is_synced { FlagSetMode::Disable } else { FlagSetMode::Enable };
        // SAFETY: heed asks that one thread at a time calls this, and the writer's lock is held.
        // LMDB looks at this flag only in a commit (`mdb_env_sync0`, `mdb_env_write_meta`), under
        // the same lock. What an unsynced commit may lose, checkpoint.rs makes good.
        unsafe { self.lmdb.set_flags(EnvFlags::NO_SYNC, mode) }
    }

    /// Begins a read transaction on the newest commit.
    ///
    /// LMDB reads the id of the newest commit, then takes its roots from the meta page with the
    /// parity of that id (`mdb_txn_renew0`). A thread that is stopped between the two, for as long
    /// as another commit takes that page, would read a later state under the older id. Two
    /// snapshots of one id must show one state, so it begins again.
    pub fn begin_read(&self) -> heed::Result<ReadTxn> {
        loop {
            let txn = self.begin_read_once()?;
            if self.newest_txn() <= txn.id() + 1 {
                return Ok(txn);
            }
        }
    }

    /// Fails where so little room is left that the filesystem could kill the process.
    pub fn check_room(&self, access: Access) -> heed::Result<()> {
        self.floor.as_ref().map_or(Ok(()), |floor| floor.check(access)).map_err(heed::Error::Io)
    }

    fn begin_read_once(&self) -> heed::Result<ReadTxn> {
        self.check_room(Access::Read)?;
        match self.lmdb.clone().static_read_txn() {
            // Slots of killed processes stay taken until somebody looks (hazard 10).
            Err(heed::Error::Mdb(MdbError::ReadersFull)) => {
                self.lmdb.clear_stale_readers()?;
                self.lmdb.clone().static_read_txn()
            }
            result => result,
        }
    }

    /// Commits without changing anything. LMDB reuses a page only in the second transaction after
    /// the one that freed it, so a full store has room again only after one more commit.
    pub fn commit_nothing(&self) -> heed::Result<()> {
        let mut txn = self.lmdb.write_txn()?;
        if let Some(row) = self.meta.get(&txn, META_KEY)?.map(<[u8]>::to_vec) {
            self.meta.put(&mut txn, META_KEY, &row)?;
        }
        txn.commit()
    }

    /// The id in the newest meta page. It runs ahead of what a reader can see for the length of a
    /// commit (hazard 9), never behind: a snapshot with this id is the newest there is.
    pub fn newest_txn(&self) -> usize {
        self.lmdb.info().last_txn_id
    }

    /// The version of what a transaction writes or reads.
    pub fn version_of(&self, txn_id: usize) -> u64 {
        self.version_base + txn_id as u64
    }
}

impl Meta {
    fn encode(&self) -> Vec<u8> {
        let json = serde_json::json!({
            "format": crate::marker::FORMAT,
            "storeId": self.store_id,
            "versionBase": self.version_base,
        });
        seal(META_KEY, json.to_string().as_bytes())
    }

    /// Verifies and reads the row.
    pub fn decode(row: Option<&[u8]>) -> Result<Meta> {
        let row = row.ok_or_else(|| Error::Corrupt("the store has lost its identity".into()))?;
        let json: serde_json::Value = serde_json::from_slice(unseal("meta", META_KEY, row)?)
            .map_err(|error| Error::Corrupt(format!("the store's identity: {error}")))?;
        let store_id = json.get("storeId").and_then(serde_json::Value::as_str);
        let version_base = json.get("versionBase").and_then(serde_json::Value::as_u64);
        match (store_id, version_base) {
            (Some(store_id), Some(version_base)) => {
                Ok(Meta { store_id: store_id.to_owned(), version_base })
            }
            _ => Err(Error::Corrupt("the store's identity is incomplete".into())),
        }
    }
}

/// Opens every internal database, creating what is missing, and writes the meta row.
fn write_meta(lmdb: &Env<WithoutTls>, meta: impl FnOnce(Option<Meta>, u64) -> Meta) -> Result<()> {
    let txn = lmdb.write_txn().map_err(|error| lmdb_error("begin", error))?;
    lmdb.create_databases_and_commit(txn, |opener, txn| {
        opener.create_database::<Bytes, Bytes>(txn, Some(CATALOGUE))?;
        let history = opener.create_database::<Bytes, Bytes>(txn, Some(CHANGES))?;
        opener.create_database::<Bytes, Bytes>(txn, Some(EXPIRY))?;
        opener.create_database::<Bytes, Bytes>(txn, Some(QUEUES))?;
        let database = opener.create_database::<Bytes, Bytes>(txn, Some(META))?;
        let before = Meta::decode(database.get(txn, META_KEY)?).ok();
        let txn_id = txn.id() as u64;
        let meta = meta(before, txn_id);
        database.put(txn, META_KEY, &meta.encode())?;
        if meta.version_base > 0 {
            // Versions have jumped: whoever remembers one from before must start anew.
            changes::forget(&history, txn, meta.version_base + txn_id)?;
        }
        heed::Result::Ok(CommitOrAbort::<_, ()>::Commit(()))
    })
    .map_err(|error| lmdb_error("write the store's identity", error))?;
    lmdb.force_sync().map_err(|error| lmdb_error("sync", error))
}

/// Maps the data file. Where the address space is limited (`ulimit -v`) the map shrinks until it
/// fits; the map is never resized later, because that would need every transaction to stop.
fn map(dir: &Path, map_bytes: u64) -> Result<Env<WithoutTls>> {
    if let Some(floor) = Floor::of(dir)? {
        // LMDB writes to its lock file, which it maps.
        floor.check(Access::Read).map_err(|error| Error::io("open the store", error))?;
    }
    let mut bytes = map_bytes;
    loop {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options
            .map_size(usize::try_from(bytes & !0xFFFF).unwrap_or(usize::MAX & !0xFFFF))
            .max_readers(MAX_READERS)
            .max_dbs(MAX_DATABASES);
        if weakened::skips("sync") {
            // SAFETY: what is lost by it is what a test must find; never in a release.
            unsafe { options.flags(EnvFlags::NO_SYNC) };
        }
        // SAFETY: heed asks that the file is not changed but through LMDB and not mapped twice in
        // this process (lmdb.h, "Do not have open an LMDB database twice in the same process").
        // The store's directory is private to the user (location.rs), a second copy of this
        // library in the process is refused (guard.rs), and the registry opens each once.
        match unsafe { options.open(dir) } {
            Ok(lmdb) => return Ok(lmdb),
            Err(heed::Error::Io(error)) if is_out_of_memory(&error) && bytes > MIN_MAP_BYTES => {
                bytes /= 2;
            }
            Err(heed::Error::Io(error)) if is_out_of_memory(&error) => {
                let action = "could not map the store: it needs more address space than this \
                              process may have (ulimit -v), or memory has run out";
                return Err(Error::io(action, error));
            }
            Err(error) => return Err(lmdb_error("open the store", error)),
        }
    }
}

/// How much a store should map where the address space is limited: half of what is left, because
/// the process needs some of it for itself. LMDB maps all of the data file in any case.
pub(crate) fn mappable_bytes() -> u64 {
    #[cfg(target_os = "linux")]
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::As).current {
        let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
        let pages = pages.split(' ').next().and_then(|pages| pages.parse().ok()).unwrap_or(0_u64);
        let used = pages.saturating_mul(rustix::param::page_size() as u64);
        return (limit.saturating_sub(used) / 2).max(MIN_MAP_BYTES);
    }
    u64::MAX
}

fn is_out_of_memory(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::OutOfMemory
}

/// Translates LMDB's errors, in one place.
pub(crate) fn lmdb_error(action: &str, error: heed::Error) -> Error {
    match error {
        heed::Error::Io(source) => Error::io(format!("could not {action}"), source),
        heed::Error::Mdb(MdbError::MapFull) => Error::StoreFull,
        heed::Error::Mdb(MdbError::MapResized) => Error::MapOutgrown,
        heed::Error::Mdb(MdbError::Panic) => Error::MetaNotWritten,
        heed::Error::Mdb(MdbError::VersionMismatch) => Error::FormatVersion(
            "lock.mdb was written by another version of LMDB: close every process that has this \
             store open, or give them the same version of commonhold"
                .into(),
        ),
        heed::Error::Mdb(
            error @ (MdbError::Corrupted
            | MdbError::PageNotFound
            | MdbError::Invalid
            | MdbError::BadDbi
            | MdbError::BadTxn
            | MdbError::Incompatible
            | MdbError::CursorFull
            | MdbError::Problem),
        ) => Error::Corrupt(format!("could not {action}: {error}")),
        error => Error::io(format!("could not {action}"), std::io::Error::other(error)),
    }
}

/// The counts of pages that LMDB keeps of a named database, from its row in the main database
/// (`MDB_db` in mdb.c: pad, flags, depth, then branch, leaf and overflow pages).
pub(crate) fn pages_of_row(row: &[u8]) -> u64 {
    (1..=3).filter_map(|word| u64_at(row, word * 8)).fold(0, u64::saturating_add)
}

/// Where LMDB keeps its pages.
pub(crate) fn data_file(dir: &Path) -> PathBuf {
    dir.join("data.mdb")
}
