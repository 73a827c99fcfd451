//! Scans over the entries of a namespace, in chunks.

use std::ops::Bound;

use heed::types::Bytes;

use crate::environment::{Handle, ReadTxn, lmdb_error};
use crate::error::{Error, Result};
use crate::expiry::now_ms;
use crate::names::check_key;
use crate::namespace::Namespace;
use crate::range::{Bounds, Range, is_empty};
use crate::reader::PinnedSnapshot;
use crate::record::Record;

/// Whether a visitor took an entry, or has no room left for it in this chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// The entry was taken; go on.
    Taken,
    /// The entry was not taken; the next chunk begins with it.
    Full,
}

/// An entry under a scan's cursor. Its head is verified, its value only when it is asked for.
pub struct ScannedEntry<'a> {
    key: &'a str,
    record: Record<'a>,
}

impl<'a> ScannedEntry<'a> {
    /// The key.
    pub fn key(&self) -> &'a str {
        self.key
    }

    /// How many bytes the value has.
    pub fn value_bytes(&self) -> usize {
        self.record.value_bytes()
    }

    /// The value's MessagePack bytes, verified.
    pub fn value(&self) -> Result<&'a [u8]> {
        self.record.value(self.key.as_bytes())
    }
}

/// A scan that remembers where it is between chunks.
///
/// Dropping it releases its snapshot.
pub struct Scan<'n> {
    namespace: &'n Namespace,
    position: ScanPosition,
}

/// Where a scan is: what is left of its range, and its snapshot if it holds one.
pub struct ScanPosition {
    bounds: Bounds,
    reverse: bool,
    remaining: u64,
    pinned: Option<(PinnedSnapshot, Option<Handle>)>,
    now_ms: u64,
    done: bool,
}

impl<'n> Scan<'n> {
    pub(crate) fn new(namespace: &'n Namespace, range: &Range, pinned: bool) -> Result<Scan<'n>> {
        Ok(Scan { namespace, position: ScanPosition::new(namespace, range, pinned)? })
    }

    /// Visits entries until the range ends or the visitor is full. Returns whether the range has
    /// ended.
    pub fn next_chunk(
        &mut self,
        visit: impl FnMut(&ScannedEntry) -> Result<Visit>,
    ) -> Result<bool> {
        self.position.next_chunk(self.namespace, visit)
    }
}

impl ScanPosition {
    /// The beginning of `range`; with `pinned` all chunks come from the snapshot taken here.
    pub fn new(namespace: &Namespace, range: &Range, pinned: bool) -> Result<ScanPosition> {
        let bounds = range.bounds();
        let remaining = range.limit.unwrap_or(u64::MAX);
        let done = is_empty(&bounds) || remaining == 0;
        let pinned = if pinned && !done { Some(namespace.pin()?) } else { None };
        let reverse = range.reverse;
        Ok(ScanPosition { bounds, reverse, remaining, pinned, now_ms: now_ms(), done })
    }

    /// As [`Scan::next_chunk`]; `namespace` is the one the scan was begun on.
    pub fn next_chunk(
        &mut self,
        namespace: &Namespace,
        visit: impl FnMut(&ScannedEntry) -> Result<Visit>,
    ) -> Result<bool> {
        if self.done {
            return Ok(true);
        }
        match self.pinned.take() {
            Some((pinned, handle)) => {
                let done =
                    self.visit_chunk(namespace, &pinned.snapshot.txn, handle.as_ref(), visit)?;
                if !done {
                    self.pinned = Some((pinned, handle));
                }
                Ok(done)
            }
            None => {
                self.now_ms = now_ms();
                namespace
                    .with_snapshot(|_, txn, handle| self.visit_chunk(namespace, txn, handle, visit))
            }
        }
    }

    fn visit_chunk(
        &mut self,
        namespace: &Namespace,
        txn: &ReadTxn,
        handle: Option<&Handle>,
        mut visit: impl FnMut(&ScannedEntry) -> Result<Visit>,
    ) -> Result<bool> {
        let Some(handle) = handle else {
            self.done = true;
            return Ok(true);
        };
        let mut last: Option<&[u8]> = None;
        self.done = true;
        let (now_ms, mut remaining) = (self.now_ms, self.remaining);
        for entry in entries(handle, txn, &self.bounds, self.reverse)? {
            let (key, bytes) = entry.map_err(|error| lmdb_error("scan entries", error))?;
            let record = Record::parse(namespace.seed, key, bytes)?;
            if record.head.is_expired(|| now_ms) {
                continue;
            }
            let key = std::str::from_utf8(key)
                .map_err(|_| Error::Corrupt("a key is not UTF-8".into()))?;
            if remaining == 0 {
                break;
            }
            if visit(&ScannedEntry { key, record })? == Visit::Full {
                self.done = false;
                break;
            }
            remaining -= 1;
            last = Some(key.as_bytes());
        }
        self.remaining = remaining;
        if let (Some(last), false) = (last, self.done) {
            let last = Bound::Excluded(last.to_vec());
            if self.reverse { self.bounds.1 = last } else { self.bounds.0 = last }
        }
        Ok(self.done)
    }
}

type Entry<'txn> = heed::Result<(&'txn [u8], &'txn [u8])>;

/// One iterator over both directions, without a box per entry.
enum Entries<'txn> {
    Forward(heed::RoRange<'txn, Bytes, Bytes>),
    Backward(heed::RoRevRange<'txn, Bytes, Bytes>),
}

impl<'txn> Iterator for Entries<'txn> {
    type Item = Entry<'txn>;

    fn next(&mut self) -> Option<Entry<'txn>> {
        match self {
            Entries::Forward(entries) => entries.next(),
            Entries::Backward(entries) => entries.next(),
        }
    }
}

fn entries<'txn>(
    handle: &Handle,
    txn: &'txn ReadTxn,
    bounds: &Bounds,
    reverse: bool,
) -> Result<Entries<'txn>> {
    let range: (Bound<&[u8]>, Bound<&[u8]>) =
        (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
    if reverse {
        handle.rev_range(txn, &range).map(Entries::Backward)
    } else {
        handle.range(txn, &range).map(Entries::Forward)
    }
    .map_err(|error| lmdb_error("scan entries", error))
}

/// Reads of many given keys on one snapshot, in chunks. Keys without an entry are left out.
pub struct PointReads {
    keys: std::vec::IntoIter<String>,
    next: Option<String>,
    pinned: PinnedSnapshot,
    handle: Option<Handle>,
    now_ms: u64,
}

impl PointReads {
    /// Takes the snapshot. It must not be held for longer than one synchronous call.
    pub fn new(namespace: &Namespace, keys: Vec<String>) -> Result<PointReads> {
        keys.iter().try_for_each(|key| check_key(key))?;
        let (pinned, handle) = namespace.pin()?;
        let mut keys = keys.into_iter();
        let next = keys.next();
        Ok(PointReads { keys, next, pinned, handle, now_ms: now_ms() })
    }

    /// Visits entries until the keys end or the visitor is full. Returns whether they have ended.
    pub fn next_chunk(
        &mut self,
        namespace: &Namespace,
        mut visit: impl FnMut(&str, &[u8]) -> Visit,
    ) -> Result<bool> {
        let Some(handle) = &self.handle else { return Ok(true) };
        while let Some(key) = &self.next {
            let txn = &self.pinned.snapshot.txn;
            let record = namespace.read_record(txn, handle, key.as_bytes(), || self.now_ms)?;
            if let Some(record) = record
                && visit(key, record.value(key.as_bytes())?) == Visit::Full
            {
                return Ok(false);
            }
            self.next = self.keys.next();
        }
        Ok(true)
    }
}
