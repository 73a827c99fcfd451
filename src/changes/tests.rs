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
    let mut recorder = Recorder::new(database, version, now_ms, false);
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
    let long_name = "n".repeat(512);
    let names = ["a", "b", &*long_name];
    let kinds = [ChangeKind::Set, ChangeKind::Delete, ChangeKind::Expire, ChangeKind::Clear];
    let mut expected: Vec<Seen> = Vec::new();
    for version in [7, 8, 300] {
        let mut recorder = Recorder::new(database, version, 5, false);
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
    trim(database, &mut txn, (10, 10_000), limits, 3).unwrap();
    assert_eq!(floor(&database, &txn).unwrap(), 3);
    trim(database, &mut txn, (10, 10_000), limits, 100).unwrap();
    assert_eq!(floor(&database, &txn).unwrap(), 4);
    assert_eq!(rows(&database, &txn), 6);
    // A clock that was set back makes nothing older.
    trim(database, &mut txn, (10, 0), limits, 100).unwrap();
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

#[test]
fn a_damaged_row_is_trimmed_like_any_other() {
    let (_dir, environment) = environment();
    let database = environment.changes;
    let mut txn = environment.lmdb.write_txn().unwrap();
    append((database, &mut txn), 1, 5_000, (1, 5), ALL);
    append((database, &mut txn), 2, 5_000, (1, 5), ALL);
    let key = row_key(Position { version: 1, ordinal: 0 });
    let mut row = database.get(&txn, &key).unwrap().unwrap().to_vec();
    row[20] ^= 1;
    database.put(&mut txn, &key, &row).unwrap();
    trim(database, &mut txn, (3, 5_000), ALL, 10).unwrap();
    assert_eq!((floor(&database, &txn).unwrap(), rows(&database, &txn)), (1, 1));
}

#[test]
fn a_row_under_a_key_that_cannot_be_ends_the_history_and_not_the_writing() {
    let (_dir, environment) = environment();
    let database = environment.changes;
    let mut txn = environment.lmdb.write_txn().unwrap();
    append((database, &mut txn), 1, 0, (1, 5), ALL);
    let beyond = row_key(Position { version: 1 << 40, ordinal: 0 });
    database.put(&mut txn, &beyond, b"no row").unwrap();
    append((database, &mut txn), 2, 0, (1, 5), ALL);
    append((database, &mut txn), 3, 0, (1, 5), ALL);
    assert_eq!(floor(&database, &txn).unwrap(), 2);
    let left = seen(&database, &txn, Position::after(2)).unwrap();
    assert_eq!(left.iter().map(|(version, ..)| *version).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_history_that_is_dropped_ends_with_the_commit_that_drops_it() {
    let (_dir, environment) = environment();
    let database = environment.changes;
    let mut txn = environment.lmdb.write_txn().unwrap();
    append((database, &mut txn), 1, 0, (300, 20), ALL);
    let mut recorder = Recorder::new(database, 2, 0, true);
    recorder.record(&mut txn, ChangeKind::Delete, (0, "namespace"), "key").unwrap();
    assert!(recorder.finish(&mut txn, ALL).unwrap());
    assert_eq!((floor(&database, &txn).unwrap(), rows(&database, &txn)), (2, 0));
}
