//! Listings, counts and clears in a transaction: what is stored and what it has written, merged.

use super::writes::{Own, Write};
use super::{Consistent, Transaction, View};
use crate::environment::lmdb_error;
use crate::error::{Error, Result};
use crate::namespace::catalogue_row;
use crate::range::{Bounds, Range, is_empty};
use crate::record::Record;
use crate::scan::entries;

/// A value under the cursor of a listing.
pub struct ListedValue<'a>(Listed<'a>);

enum Listed<'a> {
    Stored(&'a str, &'a Record<'a>),
    Own(&'a [u8]),
}

impl<'a> ListedValue<'a> {
    /// The value's MessagePack bytes, verified.
    pub fn bytes(&self) -> Result<&'a [u8]> {
        match self.0 {
            Listed::Stored(key, record) => record.value(key.as_bytes()),
            Listed::Own(value) => Ok(value),
        }
    }
}

impl Transaction {
    /// Visits all entries of a range that the transaction sees, in order. From then on any change
    /// of the namespace by another writer overtakes the transaction.
    pub fn scan(
        &mut self,
        namespace: usize,
        range: &Range,
        mut visit: impl FnMut(&str, &ListedValue) -> Result<()>,
    ) -> Result<()> {
        let bounds = range.bounds();
        let limit = range.limit.unwrap_or(u64::MAX);
        if is_empty(&bounds) || limit == 0 {
            return Ok(());
        }
        self.read_whole(namespace, |view, at| {
            let mut taken = 0;
            merge(view, at, &bounds, range.reverse, &mut |key, value| {
                visit(key, value)?;
                taken += 1;
                Ok(taken < limit)
            })
        })
    }

    /// How many entries the transaction sees in a namespace.
    pub fn count(&mut self, namespace: usize) -> Result<u64> {
        self.read_whole(namespace, |view, at| {
            if view.writes.clears_any() {
                return count_merged(view, at, &Range::default());
            }
            let Consistent { environment, txn, handle, now_ms } = at;
            let row = catalogue_row(environment, txn, view.namespace.name())?;
            let mut count = view.namespace.count_live(environment, txn, row, || *now_ms)?;
            for (key, write) in view.writes.writes() {
                let stored = match handle {
                    Some(handle) => {
                        view.namespace.read_record(txn, handle, key.as_bytes(), || *now_ms)?
                    }
                    None => None,
                };
                match (write, stored.is_some()) {
                    (Write::Set(_), false) => count += 1,
                    (Write::Delete, true) => count = count.saturating_sub(1),
                    _ => {}
                }
            }
            Ok(count)
        })
    }

    /// Removes every entry whose key begins with `prefix` (all, if it is empty); returns how many
    /// there were.
    pub fn clear(&mut self, namespace: usize, prefix: &str) -> Result<u64> {
        self.session.check_writable()?;
        let removed = if prefix.is_empty() {
            self.count(namespace)?
        } else {
            let range = Range { prefix: Some(prefix.to_owned()), ..Range::default() };
            self.read_whole(namespace, |view, at| count_merged(view, at, &range))?
        };
        if removed > 0 {
            self.check_room_to_write(1, 0)?;
            self.view_mut(namespace)?.writes.clear(prefix);
        }
        Ok(removed)
    }

    /// Runs `read` on a consistent snapshot, and remembers the namespace as read as a whole.
    fn read_whole<R>(
        &mut self,
        namespace: usize,
        read: impl FnOnce(&View, &Consistent) -> Result<R>,
    ) -> Result<R> {
        let (version, result) = self.with_snapshot(namespace, |view, at| {
            let row = catalogue_row(at.environment, at.txn, view.namespace.name())?;
            Ok((row.last_version, read(view, at)?))
        })?;
        self.view_mut(namespace)?.reads.add_whole(version);
        Ok(result)
    }
}

fn count_merged(view: &View, at: &Consistent, range: &Range) -> Result<u64> {
    let mut count = 0;
    merge(view, at, &range.bounds(), false, &mut |_, _| {
        count += 1;
        Ok(true)
    })?;
    Ok(count)
}

/// What a listing does with an entry; false ends it.
type Visit<'v> = &'v mut dyn FnMut(&str, &ListedValue) -> Result<bool>;

/// Visits what is stored and what was written, in one order.
fn merge(view: &View, at: &Consistent, bounds: &Bounds, reverse: bool, visit: Visit) -> Result<()> {
    let mut own = view.writes.writes_within(bounds);
    if !reverse {
        // Taken from the end.
        own.reverse();
    }
    if let Some(handle) = &at.handle {
        for entry in entries(handle, at.txn, bounds, reverse)? {
            let (key, bytes) = entry.map_err(|error| lmdb_error("scan entries", error))?;
            let record = Record::parse(view.namespace.seed, key, bytes)?;
            let key = std::str::from_utf8(key)
                .map_err(|_| Error::Corrupt("a key is not UTF-8".into()))?;
            let precedes = |own_key: &str| if reverse { own_key > key } else { own_key < key };
            while let Some(before) = own.pop_if(|(own_key, _)| precedes(own_key)) {
                if !visit_own(before, visit)? {
                    return Ok(());
                }
            }
            let is_hidden = !matches!(view.writes.own(key), Own::Nothing);
            if is_hidden || record.head.is_expired(|| at.now_ms) {
                continue;
            }
            if !visit(key, &ListedValue(Listed::Stored(key, &record)))? {
                return Ok(());
            }
        }
    }
    while let Some(after) = own.pop() {
        if !visit_own(after, visit)? {
            return Ok(());
        }
    }
    Ok(())
}

fn visit_own((key, write): (&str, &Write), visit: Visit) -> Result<bool> {
    match write {
        Write::Set(written) => visit(key, &ListedValue(Listed::Own(&written.value))),
        Write::Delete => Ok(true),
    }
}
