//! What is written to one namespace. Each write is one batch, whether it is committed here or by
//! the writer's thread.

use std::sync::Arc;

use super::Namespace;
use crate::batch::{Batch, MetadataPatch, Ttl};
use crate::commit::Committed;
use crate::error::Result;
use crate::packed::unpack;
use crate::weakened;
use crate::writer::{Done, Write};

impl Namespace {
    /// Writes one entry and returns its version.
    ///
    /// With `if_version` only if the entry is still at that version (0: only if there is none),
    /// else [`crate::Error::Conflict`].
    pub fn set(
        &self,
        key: &str,
        value: &[u8],
        ttl: Ttl,
        metadata: Option<&MetadataPatch>,
        if_version: Option<u64>,
    ) -> Result<u64> {
        let batch = set(&self.name, key, value, (ttl, metadata), if_version)?;
        Ok(self.commit(&batch)?.version.unwrap_or_default())
    }

    /// Writes entries in one commit; returns how many.
    pub fn set_many<'a>(
        &'a self,
        entries: impl IntoIterator<Item = (&'a str, &'a [u8])>,
        ttl: Ttl,
        metadata: Option<&'a MetadataPatch>,
    ) -> Result<usize> {
        let batch = set_many(&self.name, entries, (ttl, metadata))?;
        if batch.mutations.is_empty() {
            return Ok(0);
        }
        Ok(self.commit(&batch)?.outcomes.len())
    }

    /// Applies a batch, as [`crate::Store::commit`].
    pub fn commit(&self, batch: &Batch) -> Result<Committed> {
        self.store.commit(batch)
    }

    /// Adds to a number and returns the sum; a missing entry counts as 0.
    pub fn increment(&self, key: &str, by: f64) -> Result<f64> {
        Ok(self.commit(&increment(&self.name, key, by)?)?.incremented())
    }

    /// Removes an entry; returns whether there was one. `if_version` as in [`Namespace::set`].
    pub fn delete(&self, key: &str, if_version: Option<u64>) -> Result<bool> {
        Ok(self.commit(&delete(&self.name, key, if_version)?)?.removed() > 0)
    }

    /// Removes entries in one commit; returns how many there were.
    pub fn delete_many<'a>(&'a self, keys: impl IntoIterator<Item = &'a str>) -> Result<u64> {
        Ok(self.commit(&delete_many(&self.name, keys)?)?.removed())
    }

    /// Removes every entry whose key begins with `prefix` (all, if it is empty) in one commit.
    pub fn clear(&self, prefix: &str) -> Result<u64> {
        Ok(self.commit(&clear(&self.name, prefix)?)?.removed())
    }

    /// Leaves a write to the writer's thread; see [`crate::Store::submit`].
    pub fn submit(&self, write: NamespaceWrite, done: Done) -> Result<()> {
        let bytes = write.bytes();
        self.store.submit(bytes, Box::new(Named { namespace: self.shared_name(), write }), done)
    }
}

/// One write to a namespace, with what it writes.
#[derive(Debug)]
pub enum NamespaceWrite {
    /// As [`Namespace::set`].
    Set {
        /// The key.
        key: String,
        /// One MessagePack value.
        value: Vec<u8>,
        /// Its time to live.
        ttl: Ttl,
        /// What is merged into its metadata.
        metadata: Option<MetadataPatch>,
        /// The version that the entry must have.
        if_version: Option<u64>,
    },
    /// As [`Namespace::set_many`].
    SetMany {
        /// Keys and values, each after its length as a little-endian u32.
        packed: Vec<u8>,
        /// Their time to live.
        ttl: Ttl,
        /// What is merged into their metadata.
        metadata: Option<MetadataPatch>,
    },
    /// As [`Namespace::increment`].
    Increment {
        /// The key.
        key: String,
        /// What is added.
        by: f64,
    },
    /// As [`Namespace::delete`].
    Delete {
        /// The key.
        key: String,
        /// The version that the entry must have.
        if_version: Option<u64>,
    },
    /// As [`Namespace::delete_many`].
    DeleteMany {
        /// The keys.
        keys: Vec<String>,
    },
    /// As [`Namespace::clear`].
    Clear {
        /// What the keys begin with.
        prefix: String,
    },
}

impl NamespaceWrite {
    /// Bytes of what it writes.
    fn bytes(&self) -> usize {
        match self {
            NamespaceWrite::Set { key, value, .. } => key.len() + value.len(),
            NamespaceWrite::SetMany { packed, .. } => packed.len(),
            NamespaceWrite::Increment { key, .. } | NamespaceWrite::Delete { key, .. } => key.len(),
            NamespaceWrite::DeleteMany { keys } => {
                keys.iter().map(|key| size_of::<String>() + key.len()).sum()
            }
            NamespaceWrite::Clear { prefix } => prefix.len(),
        }
    }
}

/// It has the name only, not the namespace: the writer's thread must not be the one that drops the
/// last reference to a store, because a store that closes waits for that thread.
struct Named {
    namespace: Arc<str>,
    write: NamespaceWrite,
}

impl Write for Named {
    fn batch(&self) -> Result<Batch<'_>> {
        let name = &*self.namespace;
        match &self.write {
            NamespaceWrite::Set { key, value, ttl, metadata, if_version } => {
                set(name, key, value, (*ttl, metadata.as_ref()), *if_version)
            }
            NamespaceWrite::SetMany { packed, ttl, metadata } => {
                set_many(name, unpack(packed)?, (*ttl, metadata.as_ref()))
            }
            NamespaceWrite::Increment { key, by } => increment(name, key, *by),
            NamespaceWrite::Delete { key, if_version } => delete(name, key, *if_version),
            NamespaceWrite::DeleteMany { keys } => {
                delete_many(name, keys.iter().map(String::as_str))
            }
            NamespaceWrite::Clear { prefix } => clear(name, prefix),
        }
    }
}

fn set<'a>(
    name: &'a str,
    key: &'a str,
    value: &'a [u8],
    (ttl, metadata): (Ttl, Option<&'a MetadataPatch>),
    if_version: Option<u64>,
) -> Result<Batch<'a>> {
    let mut batch = Batch::new();
    let namespace = batch.namespace(name)?;
    require(&mut batch, namespace, key, if_version)?;
    batch.set(namespace, key, value, ttl, metadata)?;
    Ok(batch)
}

fn set_many<'a>(
    name: &'a str,
    entries: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    (ttl, metadata): (Ttl, Option<&'a MetadataPatch>),
) -> Result<Batch<'a>> {
    let mut batch = Batch::new();
    let namespace = batch.namespace(name)?;
    for (key, value) in entries {
        batch.set(namespace, key, value, ttl, metadata)?;
    }
    Ok(batch)
}

fn increment<'a>(name: &'a str, key: &'a str, by: f64) -> Result<Batch<'a>> {
    let mut batch = Batch::new();
    let namespace = batch.namespace(name)?;
    batch.increment(namespace, key, by)?;
    Ok(batch)
}

fn delete<'a>(name: &'a str, key: &'a str, if_version: Option<u64>) -> Result<Batch<'a>> {
    let mut batch = Batch::new();
    let namespace = batch.namespace(name)?;
    require(&mut batch, namespace, key, if_version)?;
    batch.delete(namespace, key)?;
    Ok(batch)
}

fn delete_many<'a>(name: &'a str, keys: impl IntoIterator<Item = &'a str>) -> Result<Batch<'a>> {
    let mut batch = Batch::new();
    let namespace = batch.namespace(name)?;
    for key in keys {
        batch.delete(namespace, key)?;
    }
    Ok(batch)
}

fn clear<'a>(name: &'a str, prefix: &'a str) -> Result<Batch<'a>> {
    let mut batch = Batch::new();
    let namespace = batch.namespace(name)?;
    batch.clear(namespace, prefix);
    Ok(batch)
}

/// Adds what `ifVersion` asks for.
fn require<'a>(
    batch: &mut Batch<'a>,
    namespace: usize,
    key: &'a str,
    if_version: Option<u64>,
) -> Result<()> {
    match if_version {
        Some(version) if !weakened::skips("lost-update") => {
            batch.require_version(namespace, key, version)
        }
        _ => Ok(()),
    }
}
