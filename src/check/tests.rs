#![allow(clippy::unwrap_used, clippy::indexing_slicing, unsafe_code)]
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions as FileOptions, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt};

use heed::types::Bytes;
use heed::{Database, EnvOpenOptions, RwTxn};

use super::*;
use crate::changes::{ChangeKind, FLOOR_KEY};
use crate::page::{self, Content, Data, Meta};
use crate::queue::rows::{QueueStats, RowKind, row_key};
use crate::record::{Head, namespace_seed, seal, write_head};
use crate::value::from_json;
use crate::{Batch, OpenOptions, QueueOptions, Store, Ttl};

const LEASE: QueueOptions = QueueOptions { lease_ms: 1_000_000, max_attempts: 5 };

/// A closed store with something of everything: several levels of pages, large values, expiry,
/// queues, a free list, an emptied namespace.
fn store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let options = OpenOptions { path: Some(dir.path().join("store")), ..OpenOptions::default() };
    let store = Store::open(&options).unwrap();
    let text = |text: &str, times: usize| from_json(&text.repeat(times).into()).unwrap();
    for name in ["large", "small", "emptied"] {
        let namespace = store.namespace(name).unwrap();
        let mut batch = Batch::new();
        let target = batch.namespace(name).unwrap();
        let keys: Vec<_> = (0..400).map(|n| format!("key {n:03}")).collect();
        let values: Vec<_> = (0..400).map(|n| text("v", n % 50)).collect();
        for (key, value) in keys.iter().zip(&values) {
            batch.set(target, key, value, Ttl::Never, None).unwrap();
        }
        store.commit(&batch).unwrap();
        if name == "large" {
            namespace.set("blob", &text("b", 20_000), Ttl::Never, None, None).unwrap();
        }
        let ttl = Ttl::AfterMs(1_000_000);
        namespace.set("expiring", &text("e", 1), ttl, None, None).unwrap();
        namespace.set("expiring too", &text("e", 1), ttl, None, None).unwrap();
    }
    let emptied = store.namespace("emptied").unwrap();
    emptied.clear("").unwrap();
    let queue = store.queue("work", LEASE).unwrap();
    for id in ["a", "b", "c"] {
        queue.push([(id, &text("item", 1)[..])], 0).unwrap();
    }
    let task = queue.claim().unwrap().unwrap();
    queue.complete(task.token(), Some(&text("result", 1))).unwrap();
    store.close();
    dir
}

fn path(dir: &tempfile::TempDir) -> PathBuf {
    dir.path().join("store")
}

fn checked(dir: &tempfile::TempDir) -> CheckReport {
    check(Some(&path(dir)), None).unwrap()
}

// ---------------------------------------------------------------- by way of LMDB

/// Changes a database behind the store's back.
fn edit(dir: &Path, name: &str, change: impl FnOnce(&Database<Bytes, Bytes>, &mut RwTxn)) {
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options.map_size(1 << 30).max_dbs(16);
    // SAFETY: the directory is the test's own, and nobody else has it open.
    let lmdb = unsafe { options.open(dir) }.unwrap();
    let txn = lmdb.write_txn().unwrap();
    lmdb.create_databases_and_commit(txn, |opener, txn| {
        let database = opener.create_database::<Bytes, Bytes>(txn, Some(name))?;
        change(&database, txn);
        heed::Result::Ok(heed::CommitOrAbort::<_, ()>::Commit(()))
    })
    .unwrap();
}

/// Changes the value of the row with this number, counted from 0.
fn change_row(dir: &Path, name: &str, number: usize, change: impl FnOnce(&[u8], &mut Vec<u8>)) {
    edit(dir, name, |database, txn| {
        let (key, row) = database.iter(txn).unwrap().nth(number).unwrap().unwrap();
        let (key, mut row) = (key.to_vec(), row.to_vec());
        change(&key, &mut row);
        database.put(txn, &key, &row).unwrap();
    });
}

fn flip(bytes: &mut [u8]) {
    *bytes.last_mut().unwrap() ^= 4;
}

fn remove_row(dir: &Path, name: &str, number: usize) {
    edit(dir, name, |database, txn| {
        let key = database.iter(txn).unwrap().nth(number).unwrap().unwrap().0.to_vec();
        database.delete(txn, &key).unwrap();
    });
}

fn put_row(dir: &Path, name: &str, key: &[u8], payload: &[u8]) {
    edit(dir, name, |database, txn| database.put(txn, key, &seal(key, payload)).unwrap());
}

fn catalogue_row(dir: &Path, change: impl FnOnce(&mut crate::catalogue::CatalogueRow)) {
    change_row(dir, CATALOGUE, 0, |key, row| {
        let mut decoded = crate::catalogue::CatalogueRow::decode(key, row).unwrap();
        change(&mut decoded);
        *row = decoded.encode(key);
    });
}

/// Puts a record into the namespace "small" that is sound but for what is special about it.
fn put_record(dir: &Path, key: &[u8], version: u64, metadata: &[u8], value: &[u8]) {
    let head = Head {
        version,
        created_at_ms: 1,
        updated_at_ms: 1,
        created_by: "",
        updated_by: "",
        expiry: None,
        metadata,
    };
    let mut record = Vec::new();
    write_head(&mut record, namespace_seed("small"), key, &head, value);
    record.extend_from_slice(value);
    edit(dir, "small", |database, txn| database.put(txn, key, &record).unwrap());
}

fn history_row(dir: &Path, version: u64, ordinal: u32) {
    let key = [&version.to_be_bytes()[..], &ordinal.to_be_bytes()].concat();
    let change = [ChangeKind::Set as u8, 1, 0, b'n', 1, 0, b'k'];
    put_row(dir, CHANGES, &key, &[&[0; 8][..], &change].concat());
}

fn queue_row(dir: &Path, kind: RowKind, id: &[u8], payload: Option<&[u8]>) {
    let key = row_key("work", kind, id);
    match payload {
        Some(payload) => put_row(dir, QUEUES, &key, payload),
        None => edit(dir, QUEUES, |database, txn| assert!(database.delete(txn, &key).unwrap())),
    }
}

// ---------------------------------------------------------------- by way of the pages

fn data(dir: &Path) -> File {
    FileOptions::new().read(true).write(true).open(dir.join("data.mdb")).unwrap()
}

fn newest(dir: &Path) -> (Meta, u64) {
    let file = data(dir);
    let first = page::read_meta(&file, 0).unwrap();
    let second = page::read_meta(&file, first.page_bytes).unwrap();
    if first.txn_id > second.txn_id { (first, 0) } else { (second, 1) }
}

/// Writes bytes at a place of a page.
fn poke(dir: &Path, page: u64, at: usize, bytes: &[u8]) {
    data(dir).write_all_at(bytes, page * newest(dir).0.page_bytes + at as u64).unwrap();
}

fn peek(dir: &Path, page: u64) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    data(dir).read_exact_at(&mut bytes, page * newest(dir).0.page_bytes).unwrap();
    bytes
}

fn word(bytes: &[u8], at: usize) -> usize {
    usize::from(u16::from_ne_bytes([bytes[at], bytes[at + 1]]))
}

/// The place of a node in a page.
fn node(dir: &Path, page: u64, index: usize) -> usize {
    word(&peek(dir, page), 16 + 2 * index)
}

/// The leaf and the place in it of the row of a database in the main tree: `MDB_db` at the end.
fn row_of(dir: &Path, name: &str) -> (u64, usize) {
    let (meta, _) = newest(dir);
    let root = meta.main.root.unwrap();
    let bytes = peek(dir, root);
    for index in 0..(word(&bytes, 12) - 16) / 2 {
        let at = node(dir, root, index);
        let key_bytes = word(&bytes, at + 6);
        if &bytes[at + 8..at + 8 + key_bytes] == name.as_bytes() {
            return (root, at + 8 + key_bytes);
        }
    }
    panic!("the main tree has no {name:?} on one page");
}

fn root_of(dir: &Path, name: &str) -> u64 {
    let (page, at) = row_of(dir, name);
    u64::from_ne_bytes(peek(dir, page)[at + 40..at + 48].try_into().unwrap())
}

/// The leaf of the database that is first in its order.
fn leaf_of(dir: &Path, name: &str) -> u64 {
    let (meta, _) = newest(dir);
    let mut number = root_of(dir, name);
    loop {
        match page::read_page(&data(dir), &meta, number).unwrap().content().unwrap() {
            Content::Branch(children) => number = children[0].1,
            Content::Leaf(_) => return number,
        }
    }
}

/// The overflow page of the large value.
fn overflow_page(dir: &Path) -> u64 {
    let leaf = page::read_page(&data(dir), &newest(dir).0, leaf_of(dir, "large")).unwrap();
    let Content::Leaf(entries) = leaf.content().unwrap() else { panic!("no leaf") };
    entries
        .iter()
        .find_map(|entry| match entry.data {
            Data::Overflow { page, .. } => Some(page),
            Data::Here(_) => None,
        })
        .unwrap()
}

/// A leaf of the free list and the place in it of the first word of its last entry.
fn free_entry(dir: &Path) -> (u64, usize) {
    let root = newest(dir).0.free.root.unwrap();
    let last = (word(&peek(dir, root), 12) - 16) / 2 - 1;
    (root, node(dir, root, last) + 8 + 8)
}

type Plant = fn(&Path);

/// Damage of each kind that can be planted in a store that nobody has open.
const PLANTS: &[(ProblemKind, &str, Plant)] = &[
    (ProblemKind::UnsafePath, "a directory for all", |dir| {
        fs::set_permissions(dir, Permissions::from_mode(0o777)).unwrap();
    }),
    (ProblemKind::UnsafePath, "a data file for all", |dir| {
        fs::set_permissions(dir.join("data.mdb"), Permissions::from_mode(0o666)).unwrap();
    }),
    (ProblemKind::FileMissing, "no data file", |dir| {
        fs::remove_file(dir.join("data.mdb")).unwrap();
    }),
    (ProblemKind::FileMissing, "no marker", |dir| {
        fs::remove_file(dir.join("commonhold.json")).unwrap();
    }),
    (ProblemKind::FileShort, "half of the file", |dir| {
        data(dir).set_len(newest(dir).0.file_bytes() / 2).unwrap();
    }),
    (ProblemKind::Marker, "an ill-formed marker", |dir| {
        fs::write(dir.join("commonhold.json"), "{").unwrap();
    }),
    (ProblemKind::Identity, "the marker of another store", |dir| {
        let id = crate::marker::new_store_id().unwrap();
        crate::marker::write(dir, &crate::marker::Marker::new(id)).unwrap();
    }),
    (ProblemKind::Identity, "a damaged identity", |dir| {
        change_row(dir, META, 0, |_, row| flip(row));
    }),
    (ProblemKind::Identity, "no identity", |dir| remove_row(dir, META, 0)),
    (ProblemKind::MetaPage, "no first meta page", |dir| poke(dir, 0, 0, &[0; 152])),
    (ProblemKind::MetaPage, "no second meta page", |dir| poke(dir, 1, 0, &[0; 152])),
    (ProblemKind::MetaPage, "an older commit that is newer", |dir| {
        let older = 1 - newest(dir).1;
        poke(dir, older, 16 + 130, &[1]);
    }),
    (ProblemKind::PageOutside, "a child that is not there", |dir| {
        let root = root_of(dir, "large");
        poke(dir, root, node(dir, root, 1) + 2, &[255]);
    }),
    (ProblemKind::PageShared, "one child twice", |dir| {
        let root = root_of(dir, "large");
        let child = peek(dir, root)[node(dir, root, 0)..][..6].to_vec();
        poke(dir, root, node(dir, root, 1), &child);
    }),
    (ProblemKind::PageShared, "a free page in use", |dir| {
        let (page, at) = free_entry(dir);
        let used = leaf_of(dir, "small").to_ne_bytes();
        poke(dir, page, at, &[&1_u64.to_ne_bytes()[..], &used].concat());
    }),
    (ProblemKind::PageHeader, "a page of zeros", |dir| {
        poke(dir, leaf_of(dir, "large"), 0, &[0; 4096]);
    }),
    (ProblemKind::PageHeader, "the number of another page", |dir| {
        poke(dir, leaf_of(dir, "large"), 0, &[1]);
    }),
    (ProblemKind::PageEntries, "an offset behind the page", |dir| {
        poke(dir, leaf_of(dir, "large"), 16, &[0xF0, 0xFF]);
    }),
    (ProblemKind::PageEntries, "one entry twice", |dir| {
        let leaf = leaf_of(dir, "large");
        let first = peek(dir, leaf)[16..18].to_vec();
        poke(dir, leaf, 18, &first);
    }),
    (ProblemKind::PageEntries, "unknown flags of an entry", |dir| {
        let leaf = leaf_of(dir, "large");
        poke(dir, leaf, node(dir, leaf, 3) + 4, &[4]);
    }),
    (ProblemKind::KeyOrder, "two entries the wrong way round", |dir| {
        let leaf = leaf_of(dir, "large");
        let offsets = peek(dir, leaf)[16..22].to_vec();
        poke(dir, leaf, 18, &[offsets[4], offsets[5], offsets[2], offsets[3]]);
    }),
    (ProblemKind::KeyOrder, "a separator that is too small", |dir| {
        let root = root_of(dir, "large");
        poke(dir, root, node(dir, root, 1) + 8, b"a");
    }),
    (ProblemKind::Depth, "a tree that is less deep than its row says", |dir| {
        let (page, at) = row_of(dir, "large");
        poke(dir, page, at + 6, &[9]);
    }),
    (ProblemKind::TreeCounts, "another number of entries", |dir| {
        let (page, at) = row_of(dir, "large");
        poke(dir, page, at + 32, &[9]);
    }),
    (ProblemKind::Tree, "another order of keys", |dir| {
        let (page, at) = row_of(dir, "large");
        poke(dir, page, at + 4, &[2]);
    }),
    (ProblemKind::Tree, "a root that is not there", |dir| {
        let (page, at) = row_of(dir, "large");
        poke(dir, page, at + 44, &[1]);
    }),
    (ProblemKind::Overflow, "an overflow of no pages", |dir| {
        poke(dir, overflow_page(dir), 12, &[0; 4]);
    }),
    (ProblemKind::Overflow, "an overflow that is too short", |dir| {
        poke(dir, overflow_page(dir), 12, &[1]);
    }),
    (ProblemKind::FreeList, "a free page that is not there", |dir| {
        let (page, at) = free_entry(dir);
        poke(dir, page, at + 8 + 6, &[1]);
    }),
    (ProblemKind::FreeList, "more free pages than there is room for", |dir| {
        let (page, at) = free_entry(dir);
        poke(dir, page, at + 2, &[1]);
    }),
    (ProblemKind::Database, "an internal database too few", |dir| {
        edit(dir, QUEUES, |database, txn| {
            // SAFETY: the handle is not used again.
            unsafe { database.remove(txn) }.unwrap();
        });
    }),
    (ProblemKind::Database, "a name that no namespace has", |dir| edit(dir, "a\u{2}", |_, _| {})),
    (ProblemKind::Key, "a key that is no text", |dir| put_record(dir, &[255], 1, b"", &[1])),
    (ProblemKind::Record, "a damaged head", |dir| {
        change_row(dir, "small", 5, |_, row| row[9] ^= 1);
    }),
    (ProblemKind::Record, "a damaged value", |dir| {
        change_row(dir, "small", 5, |_, row| flip(row));
    }),
    (ProblemKind::Record, "a version that has not been", |dir| {
        put_record(dir, b"key 000", 1 << 40, b"", &[1]);
    }),
    (ProblemKind::Record, "metadata that are no object", |dir| {
        put_record(dir, b"key 000", 1, b"[]", &[1]);
    }),
    (ProblemKind::Value, "bytes that are no value", |dir| {
        put_record(dir, b"key 000", 1, b"", &[0xC1]);
    }),
    (ProblemKind::Catalogue, "a namespace too few", |dir| remove_row(dir, CATALOGUE, 0)),
    (ProblemKind::Catalogue, "a namespace too many", |dir| {
        put_row(dir, CATALOGUE, b"nothing", &[1; 24]);
    }),
    (ProblemKind::Catalogue, "a damaged row", |dir| {
        change_row(dir, CATALOGUE, 0, |_, row| flip(row));
    }),
    (ProblemKind::Catalogue, "another number of records", |dir| {
        catalogue_row(dir, |row| row.count += 1);
    }),
    (ProblemKind::Catalogue, "another number of expiring records", |dir| {
        catalogue_row(dir, |row| row.expiring += 1);
    }),
    (ProblemKind::Catalogue, "a version before that of a record", |dir| {
        catalogue_row(dir, |row| row.last_version = 1);
    }),
    (ProblemKind::Expiry, "a record without a row", |dir| remove_row(dir, EXPIRY, 0)),
    (ProblemKind::Expiry, "a row without a record", |dir| {
        put_row(dir, EXPIRY, &[1; 20], b"\x05\0smallkey 000");
    }),
    (ProblemKind::Expiry, "a damaged row", |dir| change_row(dir, EXPIRY, 0, |_, row| flip(row))),
    (ProblemKind::Expiry, "the row of another record", |dir| {
        change_row(dir, EXPIRY, 0, |key, row| *row = seal(key, b"\x05\0smallkey 000"));
    }),
    (ProblemKind::History, "a damaged row", |dir| change_row(dir, CHANGES, 1, |_, row| flip(row))),
    (ProblemKind::History, "the beginning of a commit lost", |dir| remove_row(dir, CHANGES, 1)),
    (ProblemKind::History, "a row of a commit that has not been", |dir| {
        history_row(dir, 1 << 40, 0);
    }),
    (ProblemKind::History, "a change behind a gap", |dir| history_row(dir, 3, 70_000)),
    (ProblemKind::History, "a floor above all commits", |dir| {
        put_row(dir, CHANGES, FLOOR_KEY, &(1_u64 << 40).to_le_bytes());
    }),
    (ProblemKind::History, "rows below the floor", |dir| {
        put_row(dir, CHANGES, FLOOR_KEY, &4_u64.to_le_bytes());
    }),
    (ProblemKind::Queue, "a damaged row", |dir| change_row(dir, QUEUES, 4, |_, row| flip(row))),
    (ProblemKind::Queue, "a task that is not in the index", |dir| remove_row(dir, QUEUES, 2)),
    (ProblemKind::Queue, "no task", |dir| queue_row(dir, RowKind::Task, b"b", None)),
    (ProblemKind::Queue, "no item", |dir| queue_row(dir, RowKind::Item, b"b", None)),
    (ProblemKind::Queue, "no result", |dir| queue_row(dir, RowKind::Result, b"a", None)),
    (ProblemKind::Queue, "a result too many", |dir| {
        queue_row(dir, RowKind::Result, b"b", Some(&[1]));
    }),
    (ProblemKind::Queue, "an item that is no value", |dir| {
        queue_row(dir, RowKind::Item, b"b", Some(&[0xC1]));
    }),
    (ProblemKind::Queue, "other counts", |dir| {
        let stats = QueueStats { dead: 7, ..QueueStats::default() };
        queue_row(dir, RowKind::Stats, b"", Some(&stats.encode()));
    }),
    (ProblemKind::Queue, "a key that is no key", |dir| put_row(dir, QUEUES, &[9, 9, 9], &[1])),
];

#[test]
fn a_sound_store_is_sound_with_figures() {
    let dir = store();
    let report = checked(&dir);
    assert_eq!(report.problems, []);
    assert_eq!(report.status(), CheckStatus::Sound);
    let figures = report.figures;
    assert_eq!((figures.records, figures.expiring_records, figures.tasks), (805, 4, 3));
    assert_eq!((figures.namespaces, figures.queues, figures.leaked_pages), (2, 1, 0));
    assert_eq!(figures.pages, figures.used_pages + figures.free_pages);
    assert_eq!(report.unharmed, ["large", "small"]);
    assert!(!report.in_use && report.version.is_some());
}

#[test]
fn every_damage_is_found_under_its_name() {
    let mut missed = Vec::new();
    for (kind, what, plant) in PLANTS {
        let dir = store();
        plant(&path(&dir));
        let report = checked(&dir);
        if !report.counts.contains_key(kind) || report.status() != CheckStatus::Damaged {
            missed.push((kind, what, report.problems));
        }
    }
    assert!(missed.is_empty(), "{missed:#?}");
}

/// Kinds of which only other processes, or a broken disk, can be the reason.
const ELSEWHERE: &[ProblemKind] = &[
    ProblemKind::WalkCrashed,   // __test__/82-check
    ProblemKind::NotOpened,     // below
    ProblemKind::Changing,      // below
    ProblemKind::FormatVersion, // below
    ProblemKind::ReadFailed,    // below
];

#[test]
fn every_kind_of_problem_is_planted() {
    let planted: BTreeSet<_> =
        PLANTS.iter().map(|(kind, ..)| kind).chain(ELSEWHERE).copied().collect();
    let all: BTreeSet<_> = ProblemKind::ALL.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(planted, all);
}

#[test]
fn a_problem_says_where_it_is_and_harms_only_its_namespace() {
    let dir = store();
    change_row(&path(&dir), "small", 7, |_, row| flip(row));
    let report = checked(&dir);
    let [problem] = &report.problems[..] else { panic!("{:#?}", report.problems) };
    assert_eq!(problem.kind, ProblemKind::Record);
    assert_eq!(problem.namespace.as_deref(), Some("small"));
    assert_eq!(problem.key.as_deref(), Some("key 005"), "behind two keys that expire");
    assert!(problem.page.is_some());
    assert_eq!((report.harmed, report.unharmed), (vec!["small".into()], vec!["large".into()]));
}

#[test]
fn a_format_of_the_future_is_said_and_its_pages_are_walked() {
    let dir = store();
    let marker = r#"{"format":2,"writtenBy":"9.8.7"}"#;
    fs::write(path(&dir).join("commonhold.json"), marker).unwrap();
    let report = checked(&dir);
    assert_eq!(report.status(), CheckStatus::Unchecked);
    assert_eq!(report.problems[0].kind, ProblemKind::FormatVersion);
    assert!(report.figures.used_pages > 20 && report.figures.records == 0);
    poke(&path(&dir), leaf_of(&path(&dir), "large"), 0, &[0; 4096]);
    assert_eq!(checked(&dir).status(), CheckStatus::Damaged);
}

/// Nobody can join a store that a process of another pid namespace has open.
fn foreign_process(dir: &Path) -> File {
    fs::create_dir_all(dir.join("processes")).unwrap();
    let file = File::create(dir.join("processes").join("1-77")).unwrap();
    file.lock().unwrap();
    file
}

#[test]
fn a_store_that_cannot_be_joined_is_walked_if_it_stands_still() {
    let dir = store();
    let _foreign = foreign_process(&path(&dir));
    let report = checked(&dir);
    assert_eq!(report.status(), CheckStatus::Unchecked);
    assert_eq!(report.counts.keys().collect::<Vec<_>>(), [&ProblemKind::NotOpened]);
    assert!(report.in_use && report.figures.records == 805);
}

#[test]
fn a_store_that_is_written_to_under_the_walk_is_not_judged() {
    let dir = store();
    let file = File::open(path(&dir).join("data.mdb")).unwrap();
    let source = Source::choose(&path(&dir), &file, true, &mut Findings::default()).unwrap();
    assert!(source.was_still(&file));
    edit(&path(&dir), "small", |database, txn| database.clear(txn).unwrap());
    assert!(!source.was_still(&file));
}

#[test]
fn a_disk_that_refuses_to_read_is_said() {
    let dir = store();
    let (meta, _) = newest(&path(&dir));
    let unreadable = FileOptions::new().append(true).open(path(&dir).join("data.mdb")).unwrap();
    let mut found = Findings::default();
    rows::databases(&mut Pages::new(unreadable, meta), &mut found);
    assert_eq!(found.counts.into_iter().collect::<Vec<_>>(), [(ProblemKind::ReadFailed, 1)]);
}

#[test]
fn no_store_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(check(Some(&path(&dir)), None), Err(Error::NotFound(_))));
    fs::create_dir(path(&dir)).unwrap();
    assert!(matches!(check(Some(&path(&dir)), None), Err(Error::NotFound(_))));
}

#[test]
fn names_of_problems_are_unique() {
    let names: BTreeSet<_> = ProblemKind::ALL.iter().map(|(_, name)| name).collect();
    assert_eq!(names.len(), ProblemKind::ALL.len());
}

/// Random bytes over the whole file: the walk ends, and with an answer.
#[test]
fn no_damage_makes_the_walk_fail_or_hang() {
    let whole = store();
    let file = fs::read(path(&whole).join("data.mdb")).unwrap();
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
    println!("seed {seed}");
    let mut state = seed;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize % below
    };
    for round in 0..200 {
        let mut bytes = file.clone();
        for _ in 0..1 + random(40) {
            // Headers and offsets more often than not.
            let at =
                random(bytes.len() / 4096) * 4096 + random(if round % 2 == 0 { 64 } else { 4096 });
            bytes[at] = random(256) as u8;
        }
        fs::write(path(&whole).join("data.mdb"), &bytes).unwrap();
        let _ = checked(&whole).to_json().to_string();
    }
}
