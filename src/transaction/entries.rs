//! Reads and writes of single keys in a transaction.

use std::collections::HashSet;

use super::Transaction;
use super::writes::{Own, Written, metadata_bytes};
use crate::apply::{merge, sum};
use crate::batch::{MetadataPatch, Ttl};
use crate::error::{Error, Result};
use crate::expiry::now_ms;
use crate::limits::{MAX_TRANSACTION_BYTES, MAX_TRANSACTION_KEYS_WRITTEN, MAX_VALUE_BYTES};
use crate::names::check_key;
use crate::namespace::{EntryHead, entry_head};
use crate::record::{Head, Record};
use crate::value;

/// What stays of an entry when it is written again.
struct Kept {
    created_at_ms: u64,
    created_by: String,
    expires_at_ms: Option<u64>,
    metadata: Vec<u8>,
}

impl From<&Head<'_>> for Kept {
    fn from(head: &Head) -> Kept {
        Kept {
            created_at_ms: head.created_at_ms,
            created_by: head.created_by.to_owned(),
            expires_at_ms: head.expiry.map(|expiry| expiry.at_ms),
            metadata: head.metadata.to_vec(),
        }
    }
}

impl Transaction {
    /// Calls `read` with the bytes of the value that the transaction sees.
    pub fn get_with<R>(
        &mut self,
        namespace: usize,
        key: &str,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        match self.own(namespace, key)? {
            Own::Removed => Ok(None),
            Own::Written(written) => Ok(Some(read(&written.value))),
            Own::Nothing => {
                self.read_stored(namespace, key, |record| Ok(read(record.value(key.as_bytes())?)))
            }
        }
    }

    /// The MessagePack bytes of a value.
    pub fn get(&mut self, namespace: usize, key: &str) -> Result<Option<Vec<u8>>> {
        self.get_with(namespace, key, <[u8]>::to_vec)
    }

    /// Calls `read` with the entry's fields and value. An entry that the transaction has written
    /// has version 0, because versions are given at the commit.
    pub fn get_entry_with<R>(
        &mut self,
        namespace: usize,
        key: &str,
        read: impl FnOnce(&EntryHead, &[u8]) -> R,
    ) -> Result<Option<R>> {
        let is_fresh = match self.own(namespace, key)? {
            Own::Removed => return Ok(None),
            Own::Nothing => {
                return self.read_stored(namespace, key, |record| {
                    Ok(read(&entry_head(record), record.value(key.as_bytes())?))
                });
            }
            Own::Written(written) => written.is_fresh,
        };
        let kept = if is_fresh {
            None
        } else {
            self.read_stored(namespace, key, |record| Ok(Kept::from(&record.head)))?
        };
        match self.own(namespace, key)? {
            Own::Written(written) => self.read_written(written, kept, read).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether the transaction sees an entry.
    pub fn has(&mut self, namespace: usize, key: &str) -> Result<bool> {
        match self.own(namespace, key)? {
            Own::Removed => Ok(false),
            Own::Written(_) => Ok(true),
            Own::Nothing => Ok(self.stored_version(namespace, key)? != 0),
        }
    }

    /// Writes an entry. With `if_version` only if the stored entry is at that version (0: only if
    /// there is none), whatever the transaction itself has written; else [`Error::Conflict`].
    pub fn set(
        &mut self,
        namespace: usize,
        key: &str,
        value: &[u8],
        ttl: Ttl,
        metadata: Option<&MetadataPatch>,
        if_version: Option<u64>,
    ) -> Result<()> {
        self.check_writable(key)?;
        check_value(value)?;
        self.require(namespace, key, if_version)?;
        let (before, is_fresh) = match self.own(namespace, key)? {
            Own::Nothing => (None, false),
            Own::Removed => (None, true),
            Own::Written(written) => (written.metadata.clone(), written.is_fresh),
        };
        let metadata = match (before, metadata) {
            (Some(mut fields), Some(patch)) => {
                fields.extend(patch.clone());
                Some(fields)
            }
            (before, patch) => before.or_else(|| patch.cloned()),
        };
        let written = Written { value: value.to_vec(), ttl, metadata, is_fresh, at_ms: now_ms() };
        self.write(namespace, key, written)
    }

    /// Writes all of the entries, or none.
    pub fn set_many(
        &mut self,
        namespace: usize,
        entries: &[(&str, &[u8])],
        ttl: Ttl,
        metadata: Option<&MetadataPatch>,
    ) -> Result<()> {
        let patch_bytes = metadata_bytes(metadata);
        let (mut keys, mut bytes) = (HashSet::new(), 0);
        for (key, value) in entries {
            self.check_writable(key)?;
            check_value(value)?;
            bytes += key.len() + value.len() + patch_bytes;
            if self.view(namespace)?.writes.bytes_of(key).is_none() {
                keys.insert(*key);
            }
        }
        self.check_room_to_write(keys.len(), bytes)?;
        for (key, value) in entries {
            self.set(namespace, key, value, ttl, metadata, None)?;
        }
        Ok(())
    }

    /// Adds to a number and returns the sum; a missing entry counts as 0.
    pub fn increment(&mut self, namespace: usize, key: &str, by: f64) -> Result<f64> {
        self.check_writable(key)?;
        if !by.is_finite() {
            return Err(Error::InvalidOption("an increment is a finite number".into()));
        }
        let before = self.get(namespace, key)?;
        let sum = sum(self.view(namespace)?.namespace.name(), key, before.as_deref(), by)?;
        let mut value = Vec::with_capacity(9);
        value::write_number(&mut value, sum);
        let (ttl, metadata, is_fresh) = match self.own(namespace, key)? {
            Own::Nothing => (Ttl::Keep, None, false),
            Own::Removed => (Ttl::Never, None, true),
            Own::Written(written) => (written.ttl, written.metadata.clone(), written.is_fresh),
        };
        let written = Written { value, ttl, metadata, is_fresh, at_ms: now_ms() };
        self.write(namespace, key, written)?;
        Ok(sum)
    }

    /// Removes an entry; returns whether there was one. `if_version` as in [`Transaction::set`].
    pub fn delete(&mut self, namespace: usize, key: &str, if_version: Option<u64>) -> Result<bool> {
        self.require(namespace, key, if_version)?;
        Ok(self.delete_many(namespace, [key])? > 0)
    }

    /// Removes entries, all of them or none; returns how many there were.
    pub fn delete_many<'a>(
        &mut self,
        namespace: usize,
        keys: impl IntoIterator<Item = &'a str>,
    ) -> Result<u64> {
        let (mut found, mut new) = (HashSet::new(), (0, 0));
        for key in keys {
            self.check_writable(key)?;
            if !self.has(namespace, key)? || !found.insert(key) {
                continue;
            }
            if self.view(namespace)?.writes.bytes_of(key).is_none() {
                new = (new.0 + 1, new.1 + key.len());
            }
        }
        self.check_room_to_write(new.0, new.1)?;
        for key in &found {
            self.view_mut(namespace)?.writes.delete(key);
        }
        Ok(found.len() as u64)
    }

    fn own(&self, namespace: usize, key: &str) -> Result<Own<'_>> {
        check_key(key)?;
        if self.is_overtaken {
            return Err(Error::TransactionOvertaken);
        }
        Ok(self.view(namespace)?.writes.own(key))
    }

    /// Calls `read` with the stored record of a key, and remembers its version.
    fn read_stored<R>(
        &mut self,
        namespace: usize,
        key: &str,
        read: impl FnOnce(&Record) -> Result<R>,
    ) -> Result<Option<R>> {
        self.check_room_to_read(namespace, key)?;
        let (version, found) = self.with_snapshot(namespace, |view, at| {
            let Some(handle) = &at.handle else { return Ok((0, None)) };
            let bytes = key.as_bytes();
            let record = view.namespace.read_record(at.txn, handle, bytes, || at.now_ms)?;
            match record {
                Some(record) => Ok((record.head.version, Some(read(&record)?))),
                None => Ok((0, None)),
            }
        })?;
        self.view_mut(namespace)?.reads.add_key(key, version);
        Ok(found)
    }

    /// The version of the stored entry, 0 where there is none.
    fn stored_version(&mut self, namespace: usize, key: &str) -> Result<u64> {
        let version = self.read_stored(namespace, key, |record| Ok(record.head.version))?;
        Ok(version.unwrap_or(0))
    }

    fn require(&mut self, namespace: usize, key: &str, if_version: Option<u64>) -> Result<()> {
        let Some(expected) = if_version else { return Ok(()) };
        let actual = self.stored_version(namespace, key)?;
        if actual == expected {
            return Ok(());
        }
        let namespace = self.view(namespace)?.namespace.name().to_owned();
        Err(Error::Conflict { namespace, key: key.to_owned(), expected, actual })
    }

    fn read_written<R>(
        &self,
        written: &Written,
        kept: Option<Kept>,
        read: impl FnOnce(&EntryHead, &[u8]) -> R,
    ) -> Result<R> {
        let before = kept.as_ref().map_or(&b""[..], |kept| &kept.metadata);
        let merged = written.metadata.as_ref().map(|patch| merge(before, patch)).transpose()?;
        let agent = self.session.agent();
        let head = EntryHead {
            version: 0,
            created_at_ms: kept.as_ref().map_or(written.at_ms, |kept| kept.created_at_ms),
            updated_at_ms: written.at_ms,
            created_by: kept.as_ref().map_or(agent, |kept| &kept.created_by),
            updated_by: agent,
            expires_at_ms: match written.ttl {
                Ttl::Never => None,
                Ttl::AfterMs(ms) => Some(written.at_ms.saturating_add(ms)),
                Ttl::Keep => kept.as_ref().and_then(|kept| kept.expires_at_ms),
            },
            metadata: merged.as_deref().unwrap_or(before),
        };
        Ok(read(&head, &written.value))
    }

    fn check_writable(&self, key: &str) -> Result<()> {
        check_key(key)?;
        self.session.check_writable()
    }

    fn write(&mut self, namespace: usize, key: &str, written: Written) -> Result<()> {
        let replaced = self.view(namespace)?.writes.bytes_of(key);
        let bytes = (key.len() + written.bytes()).saturating_sub(replaced.unwrap_or(0));
        self.check_room_to_write(usize::from(replaced.is_none()), bytes)?;
        self.view_mut(namespace)?.writes.set(key, written);
        Ok(())
    }

    /// Refuses what would be more keys or bytes than a transaction may write.
    pub(super) fn check_room_to_write(&self, keys: usize, bytes: usize) -> Result<()> {
        let writes = || self.views.iter().map(|view| &view.writes);
        let keys = keys + writes().map(|writes| writes.len()).sum::<usize>();
        if keys > MAX_TRANSACTION_KEYS_WRITTEN {
            return Err(Error::InvalidOption(format!(
                "one transaction may write at most {MAX_TRANSACTION_KEYS_WRITTEN} keys: split it"
            )));
        }
        let bytes = bytes + writes().map(|writes| writes.bytes()).sum::<usize>();
        if bytes > MAX_TRANSACTION_BYTES {
            let (what, limit) = ("what the transaction writes", MAX_TRANSACTION_BYTES);
            return Err(Error::ValueTooLarge { what, bytes, limit });
        }
        Ok(())
    }
}

fn check_value(value: &[u8]) -> Result<()> {
    let (what, bytes, limit) = ("the value", value.len(), MAX_VALUE_BYTES);
    if bytes > limit { Err(Error::ValueTooLarge { what, bytes, limit }) } else { Ok(()) }
}
