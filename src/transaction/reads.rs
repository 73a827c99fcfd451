//! What a transaction has read, and whether it is still so.

use std::collections::HashMap;

use crate::batch::Batch;
use crate::environment::{Environment, ReadTxn};
use crate::error::Result;
use crate::expiry::expired_between;
use crate::namespace::{Namespace, catalogue_row};
use crate::weakened;

/// The state that a transaction sees: a commit, and a time by which expiry is judged.
#[derive(Clone, Copy)]
pub(super) struct Sight {
    /// Transaction id of the snapshot.
    pub txn_id: usize,
    /// Version of the last commit in it.
    pub version: u64,
    /// Milliseconds since the epoch.
    pub now_ms: u64,
}

/// What was read in one namespace.
#[derive(Default)]
pub(super) struct ReadSet {
    /// Key -> version, 0 where there was no entry.
    keys: HashMap<Box<str>, u64>,
    /// The namespace's last version, if it was listed or counted: then single keys need no record.
    whole: Option<u64>,
}

/// Whether what was read is still so.
pub(super) enum Validity {
    Valid,
    Changed,
    /// It cannot be told before the namespace's handle was opened.
    LacksHandle,
}

impl ReadSet {
    /// Keys that were read one by one.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.whole.is_none()
    }

    /// Whether reading a key adds nothing.
    pub fn knows(&self, key: &str) -> bool {
        self.whole.is_some() || self.keys.contains_key(key)
    }

    /// Remembers that a key was read at a version.
    pub fn add_key(&mut self, key: &str, version: u64) {
        if !self.knows(key) {
            self.keys.insert(key.into(), version);
        }
    }

    /// Remembers that the namespace was read as a whole.
    pub fn add_whole(&mut self, last_version: u64) {
        self.whole = Some(last_version);
        self.keys = HashMap::new();
    }

    /// Makes all that was read a condition of a batch.
    pub fn require<'a>(&'a self, batch: &mut Batch<'a>, index: usize, as_of_ms: u64) -> Result<()> {
        if let Some(version) = self.whole
            && !weakened::skips("namespace-versions")
        {
            batch.require_namespace_version(index, version, as_of_ms);
        }
        if weakened::skips("key-versions") {
            return Ok(());
        }
        self.keys.iter().try_for_each(|(key, version)| batch.require_version(index, key, *version))
    }

    /// Whether all that was read at the first of two sights is the same at the second, whose
    /// snapshot is `txn`.
    pub fn validate(
        &self,
        namespace: &Namespace,
        environment: &Environment,
        txn: &ReadTxn,
        (before, after): (Sight, Sight),
    ) -> Result<Validity> {
        if self.is_empty() {
            return Ok(Validity::Valid);
        }
        let row = catalogue_row(environment, txn, namespace.name())?;
        if let Some(version) = self.whole {
            let period = (before.now_ms, after.now_ms);
            let changed = row.last_version != version
                || row.expiring > 0
                    && expired_between(&environment.expiry, txn, namespace.name(), period)?;
            return Ok(if changed { Validity::Changed } else { Validity::Valid });
        }
        if row.count == 0 {
            let all_absent = self.keys.values().all(|version| *version == 0);
            return Ok(if all_absent { Validity::Valid } else { Validity::Changed });
        }
        if row.last_version <= before.version && row.expiring == 0 {
            return Ok(Validity::Valid);
        }
        let Some(handle) = namespace.cached_handle(environment.epoch) else {
            return Ok(Validity::LacksHandle);
        };
        for (key, version) in &self.keys {
            let key = key.as_bytes();
            let record = namespace.read_record(txn, &handle.database, key, || after.now_ms)?;
            if record.map_or(0, |record| record.head.version) != *version {
                return Ok(Validity::Changed);
            }
        }
        Ok(Validity::Valid)
    }
}
