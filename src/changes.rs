//! The history: every change of every kind, in the order of commits.
//!
//! A row holds several changes of one commit, written in the same transaction as what it tells of
//! (docs/format.md, "The history"). Whoever writes trims, a bounded number of rows at a time; the
//! *floor* is the version up to which something was trimmed: a reader that has seen everything up
//! to the floor, or later, misses nothing.

use std::ops::Bound;

use heed::{MdbError, PutFlags, RoTxn, RwTxn};

use crate::environment::{Database, Handle, lmdb_error};
use crate::error::{Error, Result};
use crate::limits::{HISTORY_ROW_BYTES, HISTORY_TRIM_INTERVAL, HISTORY_TRIM_ROWS};
use crate::record::{seal, seal_in_place, u64_at, unseal};

/// Bytes of a row's key: version, ordinal of the row's first change, both big-endian.
const KEY_BYTES: usize = 12;
/// Before every row: what the floor is.
pub(crate) const FLOOR_KEY: &[u8] = &[0; KEY_BYTES];
/// Bytes before a row's changes: checksum, time.
const HEAD_BYTES: usize = 12;
/// In the byte of a change's kind: the namespace is that of the change before.
const SAME_NAMESPACE: u8 = 0x80;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ChangeKind {
    /// An entry was written.
    Set = 1,
    /// An entry was deleted.
    Delete = 2,
    /// An entry whose time had come was removed.
    Expire = 3,
    /// All entries whose keys begin with a prefix were removed; the prefix stands for the key.
    Clear = 4,
    /// A queue changed. Its name stands for the namespace; there is no key.
    Queue = 5,
}

impl ChangeKind {
    fn from_byte(byte: u8) -> Option<ChangeKind> {
        [Self::Set, Self::Delete, Self::Expire, Self::Clear, Self::Queue]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// How much history is kept. Whoever writes trims to its own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryLimits {
    /// Bytes of the pages that hold the history.
    pub max_bytes: u64,
    /// Milliseconds since a change was made.
    pub max_age_ms: u64,
}

impl Default for HistoryLimits {
    fn default() -> HistoryLimits {
        HistoryLimits {
            max_bytes: crate::limits::DEFAULT_HISTORY_BYTES,
            max_age_ms: crate::limits::DEFAULT_HISTORY_AGE_MS,
        }
    }
}

/// A place in the history: the next change has this version and ordinal, or later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub version: u64,
    pub ordinal: u32,
}

impl Position {
    /// The place behind all changes of a commit.
    pub fn after(version: u64) -> Position {
        Position { version: version.saturating_add(1), ordinal: 0 }
    }

    /// The place behind this one.
    pub fn next(self) -> Position {
        Position { ordinal: self.ordinal + 1, ..self }
    }
}

/// One change, as a row holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HistoricChange<'a> {
    pub position: Position,
    pub kind: ChangeKind,
    pub namespace: &'a str,
    pub key: &'a str,
}

/// Appends the changes of one commit.
pub(crate) struct Recorder {
    database: Handle,
    version: u64,
    now_ms: u64,
    row: Vec<u8>,
    /// Of the next change.
    ordinal: u32,
    /// Of the first change in `row`.
    first_ordinal: u32,
    rows: usize,
    /// The namespace of the change before, by its number in the batch.
    namespace: Option<usize>,
    /// Whether all history is to be dropped, that of this commit too.
    drops: bool,
}

impl Recorder {
    pub fn new(database: Handle, version: u64, now_ms: u64, drops: bool) -> Recorder {
        let mut recorder = Recorder {
            database,
            version,
            now_ms,
            row: Vec::new(),
            ordinal: 0,
            first_ordinal: 0,
            rows: 0,
            namespace: None,
            drops,
        };
        recorder.begin_row();
        recorder
    }

    fn begin_row(&mut self) {
        self.row.clear();
        self.row.extend_from_slice(&[0; 4]);
        self.row.extend_from_slice(&self.now_ms.to_le_bytes());
        self.first_ordinal = self.ordinal;
        self.namespace = None;
    }

    /// Appends a change of a namespace with this number in the batch.
    pub fn record(
        &mut self,
        txn: &mut RwTxn<'_>,
        kind: ChangeKind,
        (number, namespace): (usize, &str),
        key: &str,
    ) -> Result<()> {
        if self.drops {
            return Ok(());
        }
        let bytes = 5 + namespace.len() + key.len();
        if self.row.len() > HEAD_BYTES && self.row.len() + bytes > HISTORY_ROW_BYTES {
            self.flush(txn)?;
        }
        if self.namespace == Some(number) {
            self.row.push(kind as u8 | SAME_NAMESPACE);
        } else {
            self.row.push(kind as u8);
            push_text(&mut self.row, namespace);
        }
        push_text(&mut self.row, key);
        self.namespace = Some(number);
        self.ordinal += 1;
        Ok(())
    }

    /// Appends that a queue changed.
    pub fn record_queue(&mut self, txn: &mut RwTxn<'_>, queue: &str) -> Result<()> {
        // No namespace has this number, so the next change names its own.
        self.namespace = None;
        self.record(txn, ChangeKind::Queue, (usize::MAX, queue), "")?;
        self.namespace = None;
        Ok(())
    }

    fn flush(&mut self, txn: &mut RwTxn<'_>) -> Result<()> {
        let key = row_key(Position { version: self.version, ordinal: self.first_ordinal });
        seal_in_place(&key, &mut self.row);
        match self.database.put_with_flags(txn, PutFlags::APPEND, &key, &self.row) {
            // A damaged key stands where no row can be: the history ends here, the store goes on.
            Err(heed::Error::Mdb(MdbError::KeyExist)) => forget(&self.database, txn, self.version),
            result => result,
        }
        .map_err(|error| lmdb_error("write the history", error))?;
        self.rows += 1;
        self.begin_row();
        Ok(())
    }

    /// Writes what is left and trims what is too much or too old. Returns whether that alone is
    /// worth a commit.
    pub fn finish(mut self, txn: &mut RwTxn<'_>, limits: HistoryLimits) -> Result<bool> {
        if self.drops {
            return forget(&self.database, txn, self.version)
                .map(|()| true)
                .map_err(|error| lmdb_error("drop the history", error));
        }
        if self.row.len() > HEAD_BYTES {
            self.flush(txn)?;
        }
        let is_due = txn.id().is_multiple_of(HISTORY_TRIM_INTERVAL);
        if self.rows > 0 && (is_due || self.rows > HISTORY_TRIM_ROWS / 4) {
            let present = (self.version, self.now_ms);
            trim(self.database, txn, present, limits, HISTORY_TRIM_ROWS + 2 * self.rows)?;
        }
        Ok(false)
    }
}

fn push_text(row: &mut Vec<u8>, text: &str) {
    // The cast loses nothing: names have at most 512 bytes, keys 1,978.
    row.extend_from_slice(&(text.len() as u16).to_le_bytes());
    row.extend_from_slice(text.as_bytes());
}

fn row_key(position: Position) -> [u8; KEY_BYTES] {
    let mut key = [0; KEY_BYTES];
    let (version, ordinal) = key.split_at_mut(8);
    version.copy_from_slice(&position.version.to_be_bytes());
    ordinal.copy_from_slice(&position.ordinal.to_be_bytes());
    key
}

/// The place of a row's first change, by its key.
pub(crate) fn position_of(key: &[u8]) -> Result<Position> {
    let split = || {
        let (version, ordinal) = key.split_first_chunk::<8>()?;
        let version = u64::from_be_bytes(*version);
        Some(Position { version, ordinal: u32::from_be_bytes(ordinal.try_into().ok()?) })
    };
    split().ok_or_else(|| Error::Corrupt("a key of the history is ill-formed".into()))
}

/// The version up to which something was trimmed; 0 if nothing ever was.
pub(crate) fn floor(database: &Handle, txn: &RoTxn<'_>) -> Result<u64> {
    let row =
        database.get(txn, FLOOR_KEY).map_err(|error| lmdb_error("read the history", error))?;
    match row {
        None => Ok(0),
        Some(row) => u64_at(unseal("history", FLOOR_KEY, row)?, 0)
            .ok_or_else(|| Error::Corrupt("the floor of the history is ill-formed".into())),
    }
}

/// Forgets everything up to `version`.
pub(crate) fn forget(
    database: &Database<'_>,
    txn: &mut RwTxn<'_>,
    version: u64,
) -> heed::Result<()> {
    database.clear(txn)?;
    write_floor(database, txn, version)
}

fn write_floor(database: &Database<'_>, txn: &mut RwTxn<'_>, version: u64) -> heed::Result<()> {
    database.put(txn, FLOOR_KEY, &seal(FLOOR_KEY, &version.to_le_bytes()))
}

/// Removes the oldest rows, at most `most` of them, while they are too many or too old.
fn trim(
    database: Handle,
    txn: &mut RwTxn<'_>,
    (present, now_ms): (u64, u64),
    limits: HistoryLimits,
    most: usize,
) -> Result<()> {
    let failed = |error| lmdb_error("trim the history", error);
    let stat = database.stat(txn).map_err(failed)?;
    let pages = stat.branch_pages + stat.leaf_pages + stat.overflow_pages;
    let mut excess = (pages as u64 * u64::from(stat.page_size)).saturating_sub(limits.max_bytes);
    let first = row_key(Position::after(0));
    let from: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&first), Bound::Unbounded);
    let mut last: Option<Vec<u8>> = None;
    // A damaged row is of no use to anybody, and must not keep the store from being written.
    for row in database.range(txn, &from).map_err(failed)?.take(most) {
        let (key, row) = row.map_err(failed)?;
        let made_ms = unseal("history", key, row).ok().and_then(|payload| u64_at(payload, 0));
        let is_young =
            made_ms.is_some_and(|made_ms| now_ms.saturating_sub(made_ms) <= limits.max_age_ms);
        if excess == 0 && is_young {
            break;
        }
        excess = excess.saturating_sub((key.len() + row.len()) as u64);
        last = Some(key.to_vec());
    }
    let Some(last) = last else { return Ok(()) };
    let trimmed: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&first), Bound::Included(&last));
    database.delete_range(txn, &trimmed).map_err(failed)?;
    // The floor never goes beyond what is written: a key may be damaged too.
    let version = position_of(&last)?.version.min(present);
    write_floor(&database, txn, version).map_err(failed)
}

/// Calls `visit` with each change from `from` on, until it returns false. Changes of one row come
/// from the map: they must be copied.
pub(crate) fn visit(
    database: &Handle,
    txn: &RoTxn<'_>,
    from: Position,
    mut visit: impl FnMut(HistoricChange) -> bool,
) -> Result<()> {
    let failed = |error| lmdb_error("read the history", error);
    let from_key = row_key(from);
    // The row that holds `from` may begin before it, in the same commit.
    let before = database.get_lower_than_or_equal_to(txn, &from_key).map_err(failed)?;
    let first = match before {
        Some((key, _)) if position_of(key)?.version == from.version => key.to_vec(),
        _ => from_key.to_vec(),
    };
    let rows: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&first), Bound::Unbounded);
    for row in database.range(txn, &rows).map_err(failed)? {
        let (key, row) = row.map_err(failed)?;
        let mut position = position_of(key)?;
        let mut rest = unseal("history", key, row)?.get(8..).unwrap_or_default();
        let mut namespace = "";
        while !rest.is_empty() {
            let change = read_change(&mut rest, &mut namespace, position)
                .ok_or_else(|| Error::Corrupt("a row of the history is ill-formed".into()))?;
            if position >= from && !visit(change) {
                return Ok(());
            }
            position = position.next();
        }
    }
    Ok(())
}

/// Takes the next change off what is left of a row.
pub(crate) fn read_change<'a>(
    rest: &mut &'a [u8],
    namespace: &mut &'a str,
    position: Position,
) -> Option<HistoricChange<'a>> {
    let (byte, after) = rest.split_first()?;
    *rest = after;
    if byte & SAME_NAMESPACE == 0 {
        *namespace = take_text(rest)?;
    }
    let kind = ChangeKind::from_byte(byte & !SAME_NAMESPACE)?;
    Some(HistoricChange { position, kind, namespace, key: take_text(rest)? })
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, after) = rest.split_first_chunk::<2>()?;
    let (text, after) = after.split_at_checked(u16::from_le_bytes(*length).into())?;
    *rest = after;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
#[path = "changes/tests.rs"]
mod tests;
