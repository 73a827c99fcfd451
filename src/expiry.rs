//! The index of expiring records: time of expiry -> namespace and key.
//!
//! A record with an expiry has exactly one row here. Reads are exact whether or not anybody has
//! swept: a record is judged by its own header, and counts subtract the rows that are due.

use std::collections::HashMap;
use std::ops::Bound;
use std::time::{SystemTime, UNIX_EPOCH};

use heed::RoTxn;

use crate::environment::{Handle, lmdb_error};
use crate::error::{Error, Result};
use crate::record::{Expiry, seal, unseal};

/// Bytes of a row's key: time of expiry, version, sequence, each big-endian, so that rows stand
/// in the order of time.
pub(crate) const KEY_BYTES: usize = 20;

/// Milliseconds since the epoch, by the system's clock.
pub(crate) fn now_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// The key of a record's row. Version and sequence make it unique.
pub(crate) fn row_key(expiry: Expiry, version: u64) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let (at_ms, rest) = key.split_at_mut(8);
    let (version_field, sequence) = rest.split_at_mut(8);
    at_ms.copy_from_slice(&expiry.at_ms.to_be_bytes());
    version_field.copy_from_slice(&version.to_be_bytes());
    sequence.copy_from_slice(&expiry.sequence.to_be_bytes());
    key
}

/// The bytes of a record's row.
pub(crate) fn encode_row(row_key: &[u8], namespace: &str, key: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(2 + namespace.len() + key.len());
    // The cast loses nothing: a name has at most 512 bytes.
    payload.extend_from_slice(&(namespace.len() as u16).to_le_bytes());
    payload.extend_from_slice(namespace.as_bytes());
    payload.extend_from_slice(key);
    seal(row_key, &payload)
}

/// Namespace and key of a row.
pub(crate) fn decode_row<'a>(row_key: &[u8], row: &'a [u8]) -> Result<(&'a str, &'a [u8])> {
    let payload = unseal("expiry index", row_key, row)?;
    let split = || {
        let (length, rest) = payload.split_first_chunk::<2>()?;
        let (namespace, key) = rest.split_at_checked(u16::from_le_bytes(*length).into())?;
        Some((std::str::from_utf8(namespace).ok()?, key))
    };
    split().ok_or_else(|| Error::Corrupt("a row of the expiry index is ill-formed".into()))
}

/// Calls `visit` with the key, namespace and record key of each row that is due at `now_ms`, in
/// the order of time, until it returns false.
pub(crate) fn visit_due(
    index: &Handle,
    txn: &RoTxn<'_>,
    now_ms: u64,
    mut visit: impl FnMut(&[u8], &str, &[u8]) -> bool,
) -> Result<()> {
    let end = now_ms.saturating_add(1).to_be_bytes();
    let range = (Bound::Unbounded, Bound::Excluded(&end[..]));
    let rows =
        index.range(txn, &range).map_err(|error| lmdb_error("read the expiry index", error))?;
    for row in rows {
        let (row_key, row) = row.map_err(|error| lmdb_error("read the expiry index", error))?;
        let (namespace, key) = decode_row(row_key, row)?;
        if !visit(row_key, namespace, key) {
            break;
        }
    }
    Ok(())
}

/// When the next record expires, in milliseconds since the epoch; `None` if none ever does.
pub(crate) fn first_due_ms(index: &Handle, txn: &RoTxn<'_>) -> Result<Option<u64>> {
    let first = index.first(txn).map_err(|error| lmdb_error("read the expiry index", error))?;
    Ok(first.and_then(|(row_key, _)| row_key.first_chunk().copied()).map(u64::from_be_bytes))
}

/// Whether the clock passed the expiry of a record of `namespace` between two times, in either
/// direction: the system's clock may be set back.
pub(crate) fn expired_between(
    index: &Handle,
    txn: &RoTxn<'_>,
    namespace: &str,
    (one_ms, other_ms): (u64, u64),
) -> Result<bool> {
    let after = one_ms.min(other_ms).saturating_add(1).to_be_bytes();
    let until = one_ms.max(other_ms).saturating_add(1).to_be_bytes();
    if after == until {
        return Ok(false);
    }
    let range = (Bound::Included(&after[..]), Bound::Excluded(&until[..]));
    let rows =
        index.range(txn, &range).map_err(|error| lmdb_error("read the expiry index", error))?;
    for row in rows {
        let (row_key, row) = row.map_err(|error| lmdb_error("read the expiry index", error))?;
        if decode_row(row_key, row)?.0 == namespace {
            return Ok(true);
        }
    }
    Ok(false)
}

/// How many records of each namespace have expired and await removal.
pub(crate) fn due_by_namespace(
    index: &Handle,
    txn: &RoTxn<'_>,
    now_ms: u64,
) -> Result<HashMap<String, u64>> {
    let mut due = HashMap::new();
    visit_due(index, txn, now_ms, |_, namespace, _| {
        match due.get_mut(namespace) {
            Some(count) => *count += 1,
            None => {
                due.insert(namespace.to_owned(), 1);
            }
        }
        true
    })?;
    Ok(due)
}
