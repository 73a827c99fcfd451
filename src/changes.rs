//! The history: every change of every kind, in the order of commits.
//!
//! A row holds several changes of one commit, written in the same transaction as what it tells of
//! (docs/format.md, "The history"). Whoever writes trims, a bounded number of rows at a time; the
//! *floor* is the version up to which something was trimmed: a reader that has seen everything up
//! to the floor, or later, misses nothing.

use std::ops::Bound;

use heed::{PutFlags, RoTxn, RwTxn};

use crate::environment::{Database, Handle, lmdb_error};
use crate::error::{Error, Result};
use crate::limits::{HISTORY_ROW_BYTES, HISTORY_TRIM_INTERVAL, HISTORY_TRIM_ROWS};
use crate::record::{seal, seal_in_place, u64_at, unseal};

/// Bytes of a row's key: version, ordinal of the row's first change, both big-endian.
const KEY_BYTES: usize = 12;
/// Before every row: what the floor is.
const FLOOR_KEY: &[u8] = &[0; KEY_BYTES];
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
}

impl Recorder {
    pub fn new(database: Handle, version: u64, now_ms: u64) -> Recorder {
        let (ordinal, first_ordinal, rows, namespace) = (0, 0, 0, None);
        let row = Vec::new();
        let mut recorder =
            Recorder { database, version, now_ms, row, ordinal, first_ordinal, rows, namespace };
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
        self.database
            .put_with_flags(txn, PutFlags::APPEND, &key, &self.row)
            .map_err(|error| lmdb_error("write the history", error))?;
        self.rows += 1;
        self.begin_row();
        Ok(())
    }

    /// Writes what is left and trims what is too much or too old.
    pub fn finish(mut self, txn: &mut RwTxn<'_>, limits: HistoryLimits) -> Result<()> {
        if self.row.len() > HEAD_BYTES {
            self.flush(txn)?;
        }
        let is_due = txn.id().is_multiple_of(HISTORY_TRIM_INTERVAL);
        if self.rows > 0 && (is_due || self.rows > HISTORY_TRIM_ROWS / 4) {
            trim(self.database, txn, self.now_ms, limits, HISTORY_TRIM_ROWS + 2 * self.rows)?;
        }
        Ok(())
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

fn position_of(key: &[u8]) -> Result<Position> {
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
    now_ms: u64,
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
    for row in database.range(txn, &from).map_err(failed)?.take(most) {
        let (key, row) = row.map_err(failed)?;
        let made_ms = u64_at(unseal("history", key, row)?, 0).unwrap_or_default();
        if excess == 0 && now_ms.saturating_sub(made_ms) <= limits.max_age_ms {
            break;
        }
        excess = excess.saturating_sub((key.len() + row.len()) as u64);
        last = Some(key.to_vec());
    }
    let Some(last) = last else { return Ok(()) };
    let trimmed: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&first), Bound::Included(&last));
    database.delete_range(txn, &trimmed).map_err(failed)?;
    write_floor(&database, txn, position_of(&last)?.version).map_err(failed)
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

fn read_change<'a>(
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
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::environment::Environment;
    use crate::error::Code;

    const MAP_BYTES: u64 = 64 * 1024 * 1024;
    const ALL: HistoryLimits = HistoryLimits { max_bytes: u64::MAX, max_age_ms: u64::MAX };
    const SMALL: HistoryLimits = HistoryLimits { max_bytes: 64 * 1024, max_age_ms: u64::MAX };

    fn environment() -> (tempfile::TempDir, Environment) {
        let dir = tempfile::tempdir().unwrap();
        Environment::create(dir.path(), MAP_BYTES, "store").unwrap();
        let environment = Environment::open(dir.path(), MAP_BYTES, 0).unwrap();
        (dir, environment)
    }

    /// Appends `count` changes with keys of about `key_bytes`, made at `now_ms`.
    fn append(
        (database, txn): (Handle, &mut RwTxn<'_>),
        version: u64,
        now_ms: u64,
        (count, key_bytes): (usize, usize),
        limits: HistoryLimits,
    ) {
        let mut recorder = Recorder::new(database, version, now_ms);
        for index in 0..count {
            let key = format!("{index:0key_bytes$}");
            recorder.record(txn, ChangeKind::Set, (0, "namespace"), &key).unwrap();
        }
        recorder.finish(txn, limits).unwrap();
    }

    /// What `visit` gives: version, ordinal, kind, namespace, key.
    type Seen = (u64, u32, ChangeKind, String, String);

    fn seen(database: &Handle, txn: &RoTxn<'_>, from: Position) -> Result<Vec<Seen>> {
        let mut all = Vec::new();
        visit(database, txn, from, |change| {
            let HistoricChange { position: Position { version, ordinal }, kind, .. } = change;
            all.push((version, ordinal, kind, change.namespace.into(), change.key.into()));
            true
        })?;
        Ok(all)
    }

    fn rows(database: &Handle, txn: &RoTxn<'_>) -> usize {
        let is_floor = database.get(txn, FLOOR_KEY).unwrap().is_some();
        database.len(txn).unwrap() as usize - usize::from(is_floor)
    }

    #[test]
    fn changes_are_read_from_any_place_in_any_row() {
        let (_dir, environment) = environment();
        let database = environment.changes;
        let mut txn = environment.lmdb.write_txn().unwrap();
        let names = ["a", "b", "n".repeat(512).leak()];
        let kinds = [ChangeKind::Set, ChangeKind::Delete, ChangeKind::Expire, ChangeKind::Clear];
        let mut expected: Vec<Seen> = Vec::new();
        for version in [7, 8, 300] {
            let mut recorder = Recorder::new(database, version, 5);
            for ordinal in 0..400_u32 {
                let number = (ordinal / 3) as usize % names.len();
                let (kind, name) = (kinds[ordinal as usize % kinds.len()], names[number]);
                if ordinal % 7 == 6 {
                    recorder.record_queue(&mut txn, name).unwrap();
                    let queue = ChangeKind::Queue;
                    expected.push((version, ordinal, queue, name.into(), String::new()));
                    continue;
                }
                // Now and then a key that no row has room for.
                let key = if ordinal % 50 == 0 { "k".repeat(1_978) } else { ordinal.to_string() };
                recorder.record(&mut txn, kind, (number, name), &key).unwrap();
                expected.push((version, ordinal, kind, name.into(), key));
            }
            recorder.finish(&mut txn, ALL).unwrap();
        }
        assert!(rows(&database, &txn) > 3 * 10);
        for (index, (version, ordinal, ..)) in expected.iter().enumerate() {
            let from = Position { version: *version, ordinal: *ordinal };
            assert_eq!(seen(&database, &txn, from).unwrap(), expected[index..]);
        }
        for (from, index) in [(Position::after(0), 0), (Position::after(8), 800)] {
            assert_eq!(seen(&database, &txn, from).unwrap(), expected[index..]);
        }
        // Behind the last change of a commit stands the first one of the next.
        let behind = Position { version: 7, ordinal: 400 };
        assert_eq!(seen(&database, &txn, behind).unwrap(), expected[400..]);
        assert_eq!(seen(&database, &txn, Position::after(300)).unwrap(), []);
    }

    #[test]
    fn a_visit_ends_when_it_is_told_to() {
        let (_dir, environment) = environment();
        let database = environment.changes;
        let mut txn = environment.lmdb.write_txn().unwrap();
        append((database, &mut txn), 1, 0, (500, 20), ALL);
        let mut left = 300;
        let visited = visit(&database, &txn, Position::after(0), |_| {
            left -= 1;
            left > 0
        });
        assert!(visited.is_ok());
        assert_eq!(left, 0);
    }

    #[test]
    fn history_is_trimmed_by_size_in_bounded_steps() {
        let (_dir, environment) = environment();
        let database = environment.changes;
        let mut txn = environment.lmdb.write_txn().unwrap();
        // 40 rows each, much more than is allowed.
        for version in 1..=50 {
            append((database, &mut txn), version, 0, (40, 1_800), ALL);
        }
        assert_eq!(floor(&database, &txn).unwrap(), 0);
        for version in 51..=200 {
            let before = rows(&database, &txn);
            append((database, &mut txn), version, 0, (40, 1_800), SMALL);
            let removed = before + 40 - rows(&database, &txn);
            assert!(removed <= HISTORY_TRIM_ROWS + 2 * 40, "{removed} rows");
        }
        let stat = database.stat(&txn).unwrap();
        let pages = stat.leaf_pages + stat.branch_pages + stat.overflow_pages;
        // What one commit adds may come on top.
        assert!((pages * 4096) as u64 <= SMALL.max_bytes + 2 * 40 * 4096, "{pages} pages");
        assert!(pages * 4096 >= 32 * 1024, "not more than what is too much: {pages} pages");
        // All that is left is newer than the floor, but for the rest of a commit that it cuts.
        let floor = floor(&database, &txn).unwrap();
        let left = seen(&database, &txn, Position::after(0)).unwrap();
        assert!(left.iter().all(|(version, ..)| *version >= floor));
        let whole = seen(&database, &txn, Position::after(floor)).unwrap();
        assert_eq!(whole.len(), 40 * (200 - floor as usize));
    }

    #[test]
    fn history_is_trimmed_by_age_up_to_the_first_row_that_is_young() {
        let (_dir, environment) = environment();
        let database = environment.changes;
        let mut txn = environment.lmdb.write_txn().unwrap();
        for version in 1..=10 {
            append((database, &mut txn), version, version * 1_000, (1, 5), ALL);
        }
        let limits = HistoryLimits { max_age_ms: 5_000, ..ALL };
        trim(database, &mut txn, 10_000, limits, 3).unwrap();
        assert_eq!(floor(&database, &txn).unwrap(), 3);
        trim(database, &mut txn, 10_000, limits, 100).unwrap();
        assert_eq!(floor(&database, &txn).unwrap(), 4);
        assert_eq!(rows(&database, &txn), 6);
        // A clock that was set back makes nothing older.
        trim(database, &mut txn, 0, limits, 100).unwrap();
        assert_eq!(floor(&database, &txn).unwrap(), 4);
        let versions: Vec<u64> = seen(&database, &txn, Position::after(4))
            .unwrap()
            .into_iter()
            .map(|(version, ..)| version)
            .collect();
        assert_eq!(versions, [5, 6, 7, 8, 9, 10]);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let (_dir, environment) = environment();
        let database = environment.changes;
        let mut txn = environment.lmdb.write_txn().unwrap();
        append((database, &mut txn), 3, 9, (4, 5), ALL);
        append((database, &mut txn), 4, 9, (4, 5), ALL);
        write_floor(&database, &mut txn, 2).unwrap();
        let key = row_key(Position { version: 3, ordinal: 0 });
        for damaged in [&key[..], FLOOR_KEY] {
            let sound = database.get(&txn, damaged).unwrap().unwrap().to_vec();
            for bit in 0..sound.len() * 8 {
                let mut row = sound.clone();
                row[bit / 8] ^= 1 << (bit % 8);
                database.put(&mut txn, damaged, &row).unwrap();
                let error = if damaged == FLOOR_KEY {
                    floor(&database, &txn).unwrap_err()
                } else {
                    seen(&database, &txn, Position::after(0)).unwrap_err()
                };
                assert_eq!(error.code(), Code::Corrupt, "bit {bit}");
            }
            database.put(&mut txn, damaged, &sound).unwrap();
        }
        assert_eq!(seen(&database, &txn, Position::after(0)).unwrap().len(), 8);
        // A row under another row's key is noticed too.
        let row = database.get(&txn, &key).unwrap().unwrap().to_vec();
        database.put(&mut txn, &row_key(Position { version: 4, ordinal: 0 }), &row).unwrap();
        let error = seen(&database, &txn, Position::after(3)).unwrap_err();
        assert_eq!(error.code(), Code::Corrupt);
    }
}
