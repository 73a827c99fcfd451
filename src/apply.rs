//! Applies the mutations of a batch inside one write transaction.

use std::ops::Bound;

use heed::RwTxn;

use crate::batch::{Batch, MetadataPatch, Mutation, Outcome, Precondition, Ttl};
use crate::catalogue::CatalogueRow;
use crate::changes::{ChangeKind, HistoryLimits, Recorder};
use crate::environment::{Database, Environment, lmdb_error};
use crate::error::{Error, Result};
use crate::expiry::{encode_row, expired_between, row_key};
use crate::limits::MAX_METADATA_BYTES;
use crate::queue::apply::QueueChanges;
use crate::range::prefix_bounds;
use crate::record::{Expiry, Head, Record, namespace_seed, write_head};
use crate::shared::WriterState;
use crate::sharing::Sharing;
use crate::value;

/// A namespace that the commit touches.
pub(crate) struct Target<'a, 'txn> {
    pub name: &'a str,
    /// `None`: there is no such namespace, and no batch creates it.
    pub database: Option<Database<'txn>>,
    seed: u32,
    row: CatalogueRow,
    /// The first batch that changed it, by its number in the commit.
    changed_by: Option<usize>,
}

/// The state of a write transaction, in which batches are applied one after another.
pub(crate) struct Application<'a, 'txn, 'env> {
    pub txn: &'a mut RwTxn<'env>,
    pub environment: &'a Environment,
    targets: Vec<Target<'a, 'txn>>,
    /// On whose behalf the present batch is applied.
    pub agent: &'a str,
    pub version: u64,
    pub now_ms: u64,
    /// Rows written to the expiry index by this commit.
    sequence: u32,
    /// How often the transaction was written to; counted before each time.
    pub writes: u64,
    pub history: Recorder,
    limits: HistoryLimits,
    pub queues: QueueChanges,
    pub sharing: Sharing<'a>,
    scratch: &'a mut Vec<u8>,
}

/// What must be known of a record before it is replaced or removed.
#[derive(Clone, Copy)]
struct Present {
    live: bool,
    expiry: Option<Expiry>,
    version: u64,
}

impl<'a, 'txn> Target<'a, 'txn> {
    /// Reads the namespace's row of the catalogue.
    pub fn load(
        environment: &Environment,
        txn: &RwTxn<'_>,
        name: &'a str,
        database: Option<Database<'txn>>,
    ) -> Result<Target<'a, 'txn>> {
        let row = environment
            .catalogue
            .get(txn, name.as_bytes())
            .map_err(|error| lmdb_error("read the catalogue", error))?;
        let row = match row {
            Some(row) => CatalogueRow::decode(name.as_bytes(), row)?,
            None => CatalogueRow::default(),
        };
        Ok(Target { name, database, seed: namespace_seed(name), row, changed_by: None })
    }

    fn database(&self) -> Result<Database<'txn>> {
        self.database.ok_or_else(|| Error::Corrupt("a namespace has no database".into()))
    }
}

impl<'a, 'txn, 'env> Application<'a, 'txn, 'env> {
    /// Begins to apply batches, with the version of the commit and the time by which expiry is
    /// judged. `is_shared`: there may be more than one batch.
    pub fn new(
        environment: &'a Environment,
        txn: &'a mut RwTxn<'env>,
        targets: Vec<Target<'a, 'txn>>,
        (version, now_ms): (u64, u64),
        is_shared: bool,
        writer: &'a mut WriterState,
    ) -> Application<'a, 'txn, 'env> {
        Application {
            txn,
            environment,
            targets,
            agent: "",
            version,
            now_ms,
            sequence: 0,
            writes: 0,
            history: Recorder::new(environment.changes, version, now_ms, writer.drops_history),
            limits: writer.history,
            queues: QueueChanges::default(),
            sharing: Sharing::new(is_shared),
            scratch: &mut writer.scratch,
        }
    }

    /// Checks the preconditions of a batch and applies its mutations. `indices` are its namespaces
    /// by their index in the commit.
    pub fn apply_batch(
        &mut self,
        number: usize,
        agent: &'a str,
        batch: &'a Batch<'a>,
        indices: &'a [usize],
    ) -> Result<Vec<Outcome>> {
        self.agent = agent;
        self.sharing.begin(number, indices);
        for precondition in &batch.preconditions {
            self.check(precondition)?;
        }
        let mut outcomes = Vec::with_capacity(batch.mutations.len());
        for (position, mutation) in batch.mutations.iter().enumerate() {
            self.sharing.advance(batch.mutations.get(..position).unwrap_or_default());
            outcomes.push(self.apply(mutation)?);
        }
        Ok(outcomes)
    }

    /// Fails unless the precondition holds.
    fn check(&mut self, precondition: &Precondition) -> Result<()> {
        match *precondition {
            Precondition::Entry { namespace, key, version } => {
                let namespace = self.sharing.index(namespace)?;
                self.check_entry(namespace, key, version)
            }
            Precondition::Namespace { namespace, version, as_of_ms } => {
                let namespace = self.sharing.index(namespace)?;
                self.check_namespace(namespace, version, as_of_ms)
            }
        }
    }

    fn check_namespace(&mut self, namespace: usize, version: u64, as_of_ms: u64) -> Result<()> {
        let Target { name, row, changed_by, .. } = *self.target(namespace)?;
        let period = (as_of_ms, self.now_ms);
        let changed = changed_by.is_some()
            || row.last_version != version
            || row.expiring > 0
                && expired_between(&self.environment.expiry, self.txn, name, period)?;
        if changed { Err(Error::NamespaceChanged { namespace: name.to_owned() }) } else { Ok(()) }
    }

    fn check_entry(&mut self, namespace: usize, key: &str, version: u64) -> Result<()> {
        let actual = match self.present(namespace, key)? {
            Some(present) if present.live => present.version,
            _ => 0,
        };
        if actual == version {
            return Ok(());
        }
        let namespace = self.target(namespace)?.name.to_owned();
        Err(Error::Conflict { namespace, key: key.to_owned(), expected: version, actual })
    }

    fn apply(&mut self, mutation: &Mutation) -> Result<Outcome> {
        match *mutation {
            Mutation::Set { namespace, key, value, ttl, metadata } => {
                let namespace = self.sharing.index(namespace)?;
                if self.sharing.is_shared() {
                    let is_written = self.is_written(namespace, key)?;
                    self.sharing.check_replace(namespace, key, is_written)?;
                }
                self.set(namespace, key, value, ttl, metadata)?;
                Ok(Outcome::Set)
            }
            Mutation::Increment { namespace, key, by } => {
                let namespace = self.sharing.index(namespace)?;
                if self.sharing.is_shared() {
                    let is_written = self.is_written(namespace, key)?;
                    self.sharing.check_increment(namespace, key, is_written)?;
                }
                self.increment(namespace, key, by)
            }
            Mutation::Delete { namespace, key } => self.delete(self.sharing.index(namespace)?, key),
            Mutation::Clear { namespace, prefix } => {
                self.clear(self.sharing.index(namespace)?, prefix)
            }
            Mutation::Expire { namespace, key, row_key } => {
                self.expire(self.sharing.index(namespace)?, key, row_key)
            }
            Mutation::Queue { queue, ref step } => self.apply_step(queue, step),
        }
    }

    /// Writes the catalogue rows of what changed, and the history. Returns whether anything did.
    pub fn finish(mut self) -> Result<bool> {
        let catalogue = self.environment.catalogue;
        let mut any = self.writes > 0;
        for target in self.targets.iter_mut().filter(|target| target.changed_by.is_some()) {
            any = true;
            target.row.last_version = self.version;
            let name = target.name.as_bytes();
            if target.row.count == 0 {
                catalogue.delete(self.txn, name).map(|_| ())
            } else {
                catalogue.put(self.txn, name, &target.row.encode(name))
            }
            .map_err(|error| lmdb_error("write the catalogue", error))?;
        }
        any |= self.finish_queues()?;
        any |= self.history.finish(self.txn, self.limits)?;
        Ok(any)
    }

    /// Appends a change to the history.
    fn record_change(&mut self, kind: ChangeKind, namespace: usize, key: &str) -> Result<()> {
        let name = self.target(namespace)?.name;
        self.history.record(self.txn, kind, (namespace, name), key)
    }

    fn target(&mut self, namespace: usize) -> Result<&mut Target<'a, 'txn>> {
        self.targets
            .get_mut(namespace)
            .ok_or_else(|| Error::InvalidOption("the batch does not name this namespace".into()))
    }

    /// The namespace, which the present batch has changed.
    fn changed_target(&mut self, namespace: usize) -> Result<&mut Target<'a, 'txn>> {
        let batch = self.sharing.batch();
        let target = self.target(namespace)?;
        target.changed_by.get_or_insert(batch);
        Ok(target)
    }

    /// The record of a key, verified, expired or not.
    fn record(&self, namespace: usize, key: &str) -> Result<Option<Record<'_>>> {
        let Some(target) = self.targets.get(namespace) else { return Ok(None) };
        let Some(database) = target.database else { return Ok(None) };
        database
            .get(self.txn, key.as_bytes())
            .map_err(|error| lmdb_error("read an entry", error))?
            .map(|bytes| Record::parse(target.seed, key.as_bytes(), bytes))
            .transpose()
    }

    fn present(&self, namespace: usize, key: &str) -> Result<Option<Present>> {
        Ok(self.record(namespace, key)?.map(|record| self.presence(&record)))
    }

    /// Whether this commit has written the entry.
    fn is_written(&self, namespace: usize, key: &str) -> Result<bool> {
        Ok(self.present(namespace, key)?.is_some_and(|present| present.version == self.version))
    }

    fn presence(&self, record: &Record) -> Present {
        Present {
            live: !record.head.is_expired(|| self.now_ms),
            expiry: record.head.expiry,
            version: record.head.version,
        }
    }

    fn set(
        &mut self,
        namespace: usize,
        key: &str,
        value: &[u8],
        ttl: Ttl,
        metadata: Option<&MetadataPatch>,
    ) -> Result<()> {
        let mut scratch = std::mem::take(self.scratch);
        let result = self.set_with(&mut scratch, namespace, key, value, ttl, metadata);
        *self.scratch = scratch;
        result
    }

    fn set_with(
        &mut self,
        scratch: &mut Vec<u8>,
        namespace: usize,
        key: &str,
        value: &[u8],
        ttl: Ttl,
        metadata: Option<&MetadataPatch>,
    ) -> Result<()> {
        let record = self.record(namespace, key)?;
        let present = record.as_ref().map(|record| self.presence(record));
        let live = record.as_ref().map(|record| &record.head);
        let live = live.filter(|_| present.is_some_and(|present| present.live));
        let expires_at_ms = match ttl {
            Ttl::Never => None,
            Ttl::AfterMs(ms) => Some(self.now_ms.saturating_add(ms)),
            Ttl::Keep => live.and_then(|head| head.expiry).map(|expiry| expiry.at_ms),
        };
        let expiry = expires_at_ms.map(|at_ms| Expiry { at_ms, sequence: self.sequence });
        let merged = metadata
            .map(|patch| merge(live.map_or(&b""[..], |head| head.metadata), patch))
            .transpose()?;
        let head = Head {
            version: self.version,
            created_at_ms: live.map_or(self.now_ms, |head| head.created_at_ms),
            updated_at_ms: self.now_ms,
            created_by: live.map_or(self.agent, |head| head.created_by),
            updated_by: self.agent,
            expiry,
            metadata: merged.as_deref().unwrap_or(live.map_or(b"", |head| head.metadata)),
        };
        let seed = self.targets.get(namespace).map_or(0, |target| target.seed);
        write_head(scratch, seed, key.as_bytes(), &head, value);
        self.put(namespace, key, scratch, value)?;
        if let Some(present) = present {
            self.drop_expiry(namespace, &present)?;
            if !present.live {
                self.record_change(ChangeKind::Expire, namespace, key)?;
            }
        }
        // Once is enough for an entry that the same commit has written before.
        if present.is_none_or(|present| present.version != self.version) {
            self.record_change(ChangeKind::Set, namespace, key)?;
        }
        if let Some(expiry) = expiry {
            self.add_expiry(namespace, key, expiry)?;
        }
        let target = self.changed_target(namespace)?;
        target.row.count += u64::from(present.is_none());
        Ok(())
    }

    fn put(&mut self, namespace: usize, key: &str, head: &[u8], value: &[u8]) -> Result<()> {
        let database = self.target(namespace)?.database()?;
        self.writes += 1;
        database
            .put_reserved(self.txn, key.as_bytes(), head.len() + value.len(), |space| {
                std::io::Write::write_all(space, head)?;
                std::io::Write::write_all(space, value)
            })
            .map_err(|error| lmdb_error("write an entry", error))
    }

    fn increment(&mut self, namespace: usize, key: &str, by: f64) -> Result<Outcome> {
        let now_ms = self.now_ms;
        let record = self.record(namespace, key)?;
        let live = record.filter(|record| !record.head.is_expired(|| now_ms));
        let before = live.map(|record| record.value(key.as_bytes())).transpose()?;
        let name = self.targets.get(namespace).map_or("", |target| target.name);
        let after = sum(name, key, before, by)?;
        let mut encoded = Vec::with_capacity(9);
        value::write_number(&mut encoded, after);
        self.set(namespace, key, &encoded, Ttl::Keep, None)?;
        Ok(Outcome::Incremented(after))
    }

    fn delete(&mut self, namespace: usize, key: &str) -> Result<Outcome> {
        match self.present(namespace, key)? {
            // An expired entry is absent already; removing it is the sweeper's.
            Some(present) if present.live => {
                let is_written = present.version == self.version;
                self.sharing.check_replace(namespace, key, is_written)?;
                self.remove(namespace, key, &present)?;
                self.record_change(ChangeKind::Delete, namespace, key)?;
                Ok(Outcome::Removed(1))
            }
            _ => Ok(Outcome::Removed(0)),
        }
    }

    fn remove(&mut self, namespace: usize, key: &str, present: &Present) -> Result<()> {
        let database = self.target(namespace)?.database()?;
        self.writes += 1;
        database
            .delete(self.txn, key.as_bytes())
            .map_err(|error| lmdb_error("delete an entry", error))?;
        self.drop_expiry(namespace, present)?;
        let target = self.changed_target(namespace)?;
        target.row.count = target.row.count.saturating_sub(1);
        Ok(())
    }

    fn clear(&mut self, namespace: usize, prefix: &str) -> Result<Outcome> {
        let Some(database) = self.target(namespace)?.database else {
            return Ok(Outcome::Removed(0));
        };
        let Target { row, changed_by, .. } = *self.target(namespace)?;
        self.sharing.check_clear(changed_by)?;
        if prefix.is_empty() && row.count == 0 {
            return Ok(Outcome::Removed(0));
        }
        if prefix.is_empty() && row.expiring == 0 {
            // One call frees the pages of the whole tree.
            self.writes += 1;
            database.clear(self.txn).map_err(|error| lmdb_error("clear a namespace", error))?;
            self.changed_target(namespace)?.row.count = 0;
            self.record_change(ChangeKind::Clear, namespace, "")?;
            return Ok(Outcome::Removed(row.count));
        }
        let (mut removed, mut found) = (0, false);
        for key in self.keys_with_prefix(namespace, database, prefix)? {
            if let Some(present) = self.present(namespace, &key)? {
                self.remove(namespace, &key, &present)?;
                removed += u64::from(present.live);
                found = true;
            }
        }
        if found {
            self.record_change(ChangeKind::Clear, namespace, prefix)?;
        }
        Ok(Outcome::Removed(removed))
    }

    fn keys_with_prefix(
        &self,
        namespace: usize,
        database: Database<'txn>,
        prefix: &str,
    ) -> Result<Vec<String>> {
        let (low, high) = prefix_bounds(prefix);
        let range = (low.as_ref().map(Vec::as_slice), high.as_ref().map(Vec::as_slice));
        let range: (Bound<&[u8]>, Bound<&[u8]>) = range;
        let entries =
            database.range(self.txn, &range).map_err(|error| lmdb_error("read keys", error))?;
        let seed = self.targets.get(namespace).map_or(0, |target| target.seed);
        entries
            .map(|entry| {
                let (key, bytes) = entry.map_err(|error| lmdb_error("read keys", error))?;
                Record::parse(seed, key, bytes)?;
                String::from_utf8(key.to_vec())
                    .map_err(|_| Error::Corrupt("a key is not UTF-8".into()))
            })
            .collect()
    }

    fn expire(&mut self, namespace: usize, key: &str, due_row: &[u8]) -> Result<Outcome> {
        match self.present(namespace, key)? {
            Some(present) if !present.live => {
                self.remove(namespace, key, &present)?;
                self.record_change(ChangeKind::Expire, namespace, key)?;
                Ok(Outcome::Removed(1))
            }
            // The clock was set back: the row is not due any more.
            Some(Present { expiry: Some(expiry), version, .. })
                if row_key(expiry, version) == due_row =>
            {
                Ok(Outcome::Removed(0))
            }
            // A row without its record would be found due for ever.
            _ => {
                self.writes += 1;
                self.environment
                    .expiry
                    .delete(self.txn, due_row)
                    .map_err(|error| lmdb_error("write the expiry index", error))?;
                Ok(Outcome::Removed(0))
            }
        }
    }

    fn add_expiry(&mut self, namespace: usize, key: &str, expiry: Expiry) -> Result<()> {
        let row_key = row_key(expiry, self.version);
        let target = self.target(namespace)?;
        target.row.expiring += 1;
        let row = encode_row(&row_key, target.name, key.as_bytes());
        self.sequence += 1;
        self.environment
            .expiry
            .put(self.txn, &row_key, &row)
            .map_err(|error| lmdb_error("write the expiry index", error))
    }

    fn drop_expiry(&mut self, namespace: usize, present: &Present) -> Result<()> {
        let Some(expiry) = present.expiry else { return Ok(()) };
        let target = self.target(namespace)?;
        target.row.expiring = target.row.expiring.saturating_sub(1);
        self.environment
            .expiry
            .delete(self.txn, &row_key(expiry, present.version))
            .map_err(|error| lmdb_error("write the expiry index", error))?;
        Ok(())
    }
}

/// A stored number (0 where there is none) and `by` together.
pub(crate) fn sum(namespace: &str, key: &str, before: Option<&[u8]>, by: f64) -> Result<f64> {
    let number = match before {
        None => 0.0,
        Some(bytes) => value::as_number(bytes).ok_or_else(|| Error::NotANumber {
            namespace: namespace.to_owned(),
            key: key.to_owned(),
            found: value::kind(bytes),
        })?,
    };
    let sum = number + by;
    if sum.is_finite() {
        return Ok(sum);
    }
    Err(Error::InvalidOption("the sum is too large for a number".into()))
}

/// Merges `patch` into the JSON object in `before`; the result is empty where no field is left.
pub(crate) fn merge(before: &[u8], patch: &MetadataPatch) -> Result<Vec<u8>> {
    let mut fields: MetadataPatch = if before.is_empty() {
        MetadataPatch::new()
    } else {
        serde_json::from_slice(before)
            .map_err(|error| Error::Corrupt(format!("metadata is not JSON: {error}")))?
    };
    for (name, field) in patch {
        if field.is_null() {
            fields.remove(name);
        } else {
            fields.insert(name.clone(), field.clone());
        }
    }
    if fields.is_empty() {
        return Ok(Vec::new());
    }
    let json = serde_json::to_vec(&fields)
        .map_err(|error| Error::InvalidValue(format!("metadata is not JSON: {error}")))?;
    if json.len() > MAX_METADATA_BYTES {
        return Err(Error::ValueTooLarge {
            what: "the metadata",
            bytes: json.len(),
            limit: MAX_METADATA_BYTES,
        });
    }
    Ok(json)
}
