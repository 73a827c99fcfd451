//! A view of one namespace: reads. What is written to one is in namespace/writes.rs.

mod writes;

use std::sync::{Arc, Mutex};

use crate::catalogue::CatalogueRow;
use crate::environment::{Environment, Handle, ReadTxn, lmdb_error};
use crate::error::{Error, Result};
use crate::expiry::{due_by_namespace, now_ms};
use crate::names::{check_key, check_namespace};
use crate::range::Range;
use crate::record::{Record, namespace_seed};
use crate::scan::Scan;
use crate::shared::{NamespaceHandle, lock};
use crate::store::Session;
pub use writes::NamespaceWrite;

/// A view of one namespace. It holds no snapshot and writes nothing by itself.
pub struct Namespace {
    pub(crate) store: Arc<Session>,
    name: Arc<str>,
    pub(crate) seed: u32,
    handle: Mutex<Option<NamespaceHandle>>,
}

/// An entry's fields without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryHead<'a> {
    /// Changes with every write; larger is later.
    pub version: u64,
    /// Milliseconds since the epoch.
    pub created_at_ms: u64,
    /// Milliseconds since the epoch.
    pub updated_at_ms: u64,
    /// Agent that created the entry.
    pub created_by: &'a str,
    /// Agent that wrote it last.
    pub updated_by: &'a str,
    /// Milliseconds since the epoch.
    pub expires_at_ms: Option<u64>,
    /// A JSON object, or empty.
    pub metadata: &'a [u8],
}

impl Namespace {
    pub(crate) fn new(store: Arc<Session>, name: &str) -> Result<Namespace> {
        check_namespace(name)?;
        let seed = namespace_seed(name);
        Ok(Namespace { store, name: name.into(), seed, handle: Mutex::default() })
    }

    /// The namespace's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace's name, to keep.
    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    /// Calls `read` with the bytes of the value, while they are in the map. They must be copied.
    pub fn get_with<R>(&self, key: &str, read: impl FnOnce(&[u8]) -> R) -> Result<Option<R>> {
        self.get_entry_with(key, |_, value| read(value))
    }

    /// The MessagePack bytes of a value.
    pub fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.get_with(key, <[u8]>::to_vec)
    }

    /// The value as JSON, for tools.
    pub fn get_json(&self, key: &str) -> Result<Option<serde_json::Value>> {
        self.get_with(key, crate::value::to_json)?.transpose()
    }

    /// Calls `read` with the entry's fields and value, while they are in the map.
    pub fn get_entry_with<R>(
        &self,
        key: &str,
        read: impl FnOnce(&EntryHead, &[u8]) -> R,
    ) -> Result<Option<R>> {
        self.with_record(key, |record| {
            let value = record.value(key.as_bytes())?;
            Ok(read(&entry_head(record), value))
        })
    }

    /// Whether the key has a live entry.
    pub fn has(&self, key: &str) -> Result<bool> {
        Ok(self.with_record(key, |_| Ok(()))?.is_some())
    }

    fn with_record<R>(
        &self,
        key: &str,
        read: impl FnOnce(&Record) -> Result<R>,
    ) -> Result<Option<R>> {
        check_key(key)?;
        self.with_snapshot(|_, txn, handle| {
            let Some(handle) = handle else { return Ok(None) };
            self.read_record(txn, handle, key.as_bytes(), now_ms)?
                .map(|record| read(&record))
                .transpose()
        })
    }

    /// The live record of a key in a transaction.
    pub(crate) fn read_record<'txn>(
        &self,
        txn: &'txn ReadTxn,
        handle: &Handle,
        key: &[u8],
        now_ms: impl FnOnce() -> u64,
    ) -> Result<Option<Record<'txn>>> {
        let found = handle.get(txn, key).map_err(|error| lmdb_error("read an entry", error))?;
        let Some(bytes) = found else { return Ok(None) };
        let record = Record::parse(self.seed, key, bytes)?;
        Ok(if record.head.is_expired(now_ms) { None } else { Some(record) })
    }

    /// How many live entries there are. Costs two look-ups, however many there are.
    pub fn count(&self) -> Result<u64> {
        self.store.with_snapshot(|environment, txn| {
            let row = catalogue_row(environment, txn, &self.name)?;
            self.count_live(environment, txn, row, now_ms)
        })
    }

    /// How many entries of a catalogue's row are live.
    pub(crate) fn count_live(
        &self,
        environment: &Environment,
        txn: &ReadTxn,
        row: CatalogueRow,
        now_ms: impl FnOnce() -> u64,
    ) -> Result<u64> {
        if row.expiring == 0 {
            return Ok(row.count);
        }
        let due = due_by_namespace(&environment.expiry, txn, now_ms())?;
        Ok(row.count.saturating_sub(due.get(&*self.name).copied().unwrap_or(0)))
    }

    /// Begins a scan.
    pub fn scan(&self, range: &Range) -> Scan<'_> {
        Scan::new(self, range)
    }

    /// Visits the keys that have an entry, in the order of `keys`, on one snapshot.
    pub fn read_many(&self, keys: &[String], mut visit: impl FnMut(&str, &[u8])) -> Result<()> {
        keys.iter().try_for_each(|key| check_key(key))?;
        self.with_snapshot(|_, txn, handle| {
            let Some(handle) = handle else { return Ok(()) };
            let now_ms = now_ms();
            for key in keys {
                if let Some(record) = self.read_record(txn, handle, key.as_bytes(), || now_ms)? {
                    visit(key, record.value(key.as_bytes())?);
                }
            }
            Ok(())
        })
    }

    /// Runs `read` on a snapshot that sees every commit acknowledged before this call, with the
    /// namespace's handle; `None` where there is no such namespace.
    pub(crate) fn with_snapshot<R>(
        &self,
        read: impl FnOnce(&Environment, &ReadTxn, Option<&Handle>) -> Result<R>,
    ) -> Result<R> {
        loop {
            let state = self.store.fresh()?;
            let (environment, snapshot) = state.current()?;
            if let Some(handle) = self.cached_handle(environment.epoch) {
                return read(environment, &snapshot.txn, Some(&handle.database));
            }
            if catalogue_row(environment, &snapshot.txn, &self.name)?.count == 0 {
                return read(environment, &snapshot.txn, None);
            }
            drop(state);
            self.open_handle()?;
        }
    }

    pub(crate) fn cached_handle(&self, epoch: u64) -> Option<NamespaceHandle> {
        lock(&self.handle).filter(|handle| handle.epoch == epoch)
    }

    pub(crate) fn open_handle(&self) -> Result<()> {
        let opened = self.store.shared.handle(&self.name)?;
        if opened.is_none() {
            return Err(Error::Corrupt(format!("namespace {:?} has no database", self.name)));
        }
        *lock(&self.handle) = opened;
        Ok(())
    }
}

pub(crate) fn entry_head<'a>(record: &Record<'a>) -> EntryHead<'a> {
    EntryHead {
        version: record.head.version,
        created_at_ms: record.head.created_at_ms,
        updated_at_ms: record.head.updated_at_ms,
        created_by: record.head.created_by,
        updated_by: record.head.updated_by,
        expires_at_ms: record.head.expiry.map(|expiry| expiry.at_ms),
        metadata: record.head.metadata,
    }
}

/// What the catalogue says of a namespace.
pub(crate) fn catalogue_row(
    environment: &Environment,
    txn: &ReadTxn,
    name: &str,
) -> Result<CatalogueRow> {
    environment
        .catalogue
        .get(txn, name.as_bytes())
        .map_err(|error| lmdb_error("read the catalogue", error))?
        .map_or(Ok(CatalogueRow::default()), |row| CatalogueRow::decode(name.as_bytes(), row))
}
