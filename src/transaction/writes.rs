//! What a transaction will write.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::batch::{Batch, MetadataPatch, Ttl};
use crate::error::Result;
use crate::range::Bounds;

/// What is to become of a namespace: prefixes that are cleared first, then the last write of each
/// key.
#[derive(Default)]
pub(super) struct WriteSet {
    /// None of them begins with another one.
    cleared: BTreeSet<String>,
    writes: BTreeMap<String, Write>,
    bytes: usize,
}

/// The last write of a key.
pub(super) enum Write {
    Set(Written),
    Delete,
}

/// An entry to be written.
pub(super) struct Written {
    pub value: Vec<u8>,
    pub ttl: Ttl,
    /// The patches of all its writes in this transaction.
    pub metadata: Option<MetadataPatch>,
    /// Whether the transaction had removed the key before: nothing of an earlier entry stays.
    pub is_fresh: bool,
    /// When it was written, in milliseconds since the epoch.
    pub at_ms: u64,
}

/// What the transaction itself has done to a key.
pub(super) enum Own<'a> {
    Nothing,
    Removed,
    Written(&'a Written),
}

impl WriteSet {
    /// How many keys are written or deleted, and prefixes cleared.
    pub fn len(&self) -> usize {
        self.writes.len() + self.cleared.len()
    }

    /// Bytes of keys, values and metadata.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What was done to a key.
    pub fn own(&self, key: &str) -> Own<'_> {
        match self.writes.get(key) {
            Some(Write::Set(written)) => Own::Written(written),
            Some(Write::Delete) => Own::Removed,
            None if self.clears(key) => Own::Removed,
            None => Own::Nothing,
        }
    }

    /// Whether a key begins with a cleared prefix. As no prefix begins with another one, only the
    /// last one up to the key can be it.
    pub fn clears(&self, key: &str) -> bool {
        let up_to: (Bound<&str>, Bound<&str>) = (Bound::Unbounded, Bound::Included(key));
        self.cleared
            .range::<str, _>(up_to)
            .next_back()
            .is_some_and(|prefix| key.starts_with(prefix.as_str()))
    }

    /// Whether any prefix is cleared.
    pub fn clears_any(&self) -> bool {
        !self.cleared.is_empty()
    }

    /// Bytes of the write of a key, `None` where there is none.
    pub fn bytes_of(&self, key: &str) -> Option<usize> {
        self.writes.get(key).map(|write| key.len() + write.bytes())
    }

    /// The writes of single keys, in the order of keys.
    pub fn writes(&self) -> impl Iterator<Item = (&str, &Write)> {
        self.writes.iter().map(|(key, write)| (key.as_str(), write))
    }

    /// The writes of single keys between two bounds, in the order of keys.
    pub fn writes_within(&self, bounds: &Bounds) -> Vec<(&str, &Write)> {
        // A low bound is text: a prefix or a start.
        let low = bounds.0.as_ref().map(|low| std::str::from_utf8(low).unwrap_or_default());
        let is_below = |key: &str| match &bounds.1 {
            Bound::Included(high) => key.as_bytes() <= high.as_slice(),
            Bound::Excluded(high) => key.as_bytes() < high.as_slice(),
            Bound::Unbounded => true,
        };
        self.writes
            .range::<str, _>((low, Bound::Unbounded))
            .map(|(key, write)| (key.as_str(), write))
            .take_while(|(key, _)| is_below(key))
            .collect()
    }

    /// Writes a key.
    pub fn set(&mut self, key: &str, written: Written) {
        self.forget(key);
        self.bytes += key.len() + written.bytes();
        self.writes.insert(key.to_owned(), Write::Set(written));
    }

    /// Deletes a key.
    pub fn delete(&mut self, key: &str) {
        self.forget(key);
        self.bytes += key.len();
        self.writes.insert(key.to_owned(), Write::Delete);
    }

    fn forget(&mut self, key: &str) {
        if let Some(write) = self.writes.remove(key) {
            self.bytes -= key.len() + write.bytes();
        }
    }

    /// Removes everything that begins with `prefix`.
    pub fn clear(&mut self, prefix: &str) {
        let from_prefix = (Bound::Included(prefix), Bound::Unbounded);
        let is_under = |key: &&String| key.starts_with(prefix);
        let keys = self.writes.range::<str, _>(from_prefix).map(|(key, _)| key);
        for key in keys.take_while(is_under).cloned().collect::<Vec<_>>() {
            self.forget(&key);
        }
        if self.clears(prefix) {
            return;
        }
        let narrower = self.cleared.range::<str, _>(from_prefix);
        for narrower in narrower.take_while(is_under).cloned().collect::<Vec<_>>() {
            self.cleared.remove(&narrower);
        }
        self.cleared.insert(prefix.to_owned());
    }

    /// Adds everything to a batch. Each key is set at most once.
    pub fn apply<'a>(&'a self, batch: &mut Batch<'a>, index: usize) -> Result<()> {
        for prefix in &self.cleared {
            batch.clear(index, prefix);
        }
        for (key, write) in self.writes() {
            let removes_entry = match write {
                Write::Delete => true,
                Write::Set(written) => written.is_fresh,
            };
            if removes_entry && !self.clears(key) {
                batch.delete(index, key)?;
            }
        }
        for (key, write) in self.writes() {
            if let Write::Set(written) = write {
                let Written { value, ttl, metadata, .. } = written;
                batch.set(index, key, value, *ttl, metadata.as_ref())?;
            }
        }
        Ok(())
    }
}

impl Write {
    fn bytes(&self) -> usize {
        match self {
            Write::Set(written) => written.bytes(),
            Write::Delete => 0,
        }
    }
}

impl Written {
    /// Bytes of value and metadata.
    pub fn bytes(&self) -> usize {
        self.value.len() + metadata_bytes(self.metadata.as_ref())
    }
}

/// Bytes of the JSON of a patch.
pub(super) fn metadata_bytes(patch: Option<&MetadataPatch>) -> usize {
    // An error would mean that it is not JSON, which its type excludes.
    patch.and_then(|patch| serde_json::to_vec(patch).ok()).map_or(0, |json| json.len())
}
