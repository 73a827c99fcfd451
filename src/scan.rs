//! Scans over the entries of a namespace, in chunks.

use std::ops::Bound;

use heed::types::Bytes;

use crate::environment::{Handle, ReadTxn, lmdb_error};
use crate::error::{Error, Result};
use crate::expiry::now_ms;
use crate::namespace::Namespace;
use crate::range::{Bounds, Range, is_empty};
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

    /// The version of the commit that wrote it.
    pub fn version(&self) -> u64 {
        self.record.head.version
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

/// A scan that remembers where it is between chunks. It holds no snapshot between them: a chunk
/// that takes all of a range is one consistent view of it.
pub struct Scan<'n> {
    namespace: &'n Namespace,
    position: ScanPosition,
}

/// Where a scan is: what is left of its range.
pub struct ScanPosition {
    bounds: Bounds,
    reverse: bool,
    remaining: u64,
    done: bool,
}

impl<'n> Scan<'n> {
    pub(crate) fn new(namespace: &'n Namespace, range: &Range) -> Scan<'n> {
        Scan { namespace, position: ScanPosition::new(range) }
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
    /// The beginning of `range`.
    pub fn new(range: &Range) -> ScanPosition {
        let bounds = range.bounds();
        let remaining = range.limit.unwrap_or(u64::MAX);
        let done = is_empty(&bounds) || remaining == 0;
        ScanPosition { bounds, reverse: range.reverse, remaining, done }
    }

    /// As [`Scan::next_chunk`], in `namespace`.
    pub fn next_chunk(
        &mut self,
        namespace: &Namespace,
        visit: impl FnMut(&ScannedEntry) -> Result<Visit>,
    ) -> Result<bool> {
        if self.done {
            return Ok(true);
        }
        namespace.with_snapshot(|_, txn, handle| self.visit_chunk(namespace, txn, handle, visit))
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
        let (now_ms, mut remaining) = (now_ms(), self.remaining);
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

/// An entry under a cursor.
type Entry<'txn> = heed::Result<(&'txn [u8], &'txn [u8])>;

/// One iterator over both directions, without a box per entry.
pub(crate) enum Entries<'txn> {
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

/// The records between two bounds, expired ones included.
pub(crate) fn entries<'txn>(
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
