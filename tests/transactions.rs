//! Transactions of the core, without Node.js: two handles of one store in one process.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::mpsc::channel;

use commonhold::value::{from_json, write_number};
use commonhold::{Code, Error, OpenOptions, Range, Store, Transaction, Ttl};

fn open(dir: &std::path::Path) -> Store {
    let path = Some(dir.join("store"));
    Store::open(&OpenOptions { path, ..OpenOptions::default() }).unwrap()
}

fn number(number: f64) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_number(&mut bytes, number);
    bytes
}

fn set(transaction: &mut Transaction, namespace: usize, key: &str, value: f64) {
    transaction.set(namespace, key, &number(value), Ttl::Never, None, None).unwrap();
}

#[test]
fn a_transaction_commits_over_namespaces_at_one_version() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut transaction = store.begin_transaction().unwrap();
    let (a, b) = (transaction.namespace("a").unwrap(), transaction.namespace("b").unwrap());
    set(&mut transaction, a, "key", 1.0);
    set(&mut transaction, b, "key", 2.0);
    let version = transaction.commit().unwrap().unwrap();
    for name in ["a", "b"] {
        let found = store.namespace(name).unwrap();
        let found = found.get_entry_with("key", |head, _| head.version).unwrap();
        assert_eq!(found, Some(version));
    }
}

#[test]
fn a_dropped_transaction_leaves_nothing_behind_and_lets_others_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let outer = store.namespace("n").unwrap();
    let mut transaction = store.begin_transaction().unwrap();
    let n = transaction.namespace("n").unwrap();
    set(&mut transaction, n, "key", 1.0);
    let refused = outer.set("key", &number(2.0), Ttl::Never, None, None);
    assert!(matches!(refused, Err(Error::InTransaction)));
    assert!(matches!(store.begin_transaction().err(), Some(Error::InTransaction)));
    drop(transaction);
    assert!(!outer.has("key").unwrap());
    outer.set("key", &number(3.0), Ttl::Never, None, None).unwrap();
}

#[test]
fn a_commit_fails_where_another_writer_changed_what_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let (store, other) = (open(dir.path()), open(dir.path()));
    let theirs = other.namespace("n").unwrap();
    theirs.set("key", &number(1.0), Ttl::Never, None, None).unwrap();
    for lists in [false, true] {
        let mut transaction = store.begin_transaction().unwrap();
        let n = transaction.namespace("n").unwrap();
        if lists {
            transaction.scan(n, &Range::default(), |_, _| Ok(())).unwrap();
        } else {
            transaction.get(n, "key").unwrap();
        }
        theirs.increment("key", 1.0).unwrap();
        set(&mut transaction, n, "copy", 1.0);
        assert_eq!(transaction.commit().unwrap_err().code(), Code::Conflict);
    }
    assert!(!theirs.has("copy").unwrap());
}

#[test]
fn an_overtaken_transaction_reads_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let (store, other) = (open(dir.path()), open(dir.path()));
    let (ours, theirs) = (store.namespace("n").unwrap(), other.namespace("n").unwrap());
    for key in ["a", "b"] {
        theirs.set(key, &number(0.0), Ttl::Never, None, None).unwrap();
    }
    let mut transaction = store.begin_transaction().unwrap();
    let n = transaction.namespace("n").unwrap();
    transaction.get(n, "a").unwrap();
    theirs.increment("a", 1.0).unwrap();
    // Takes the snapshot away that the transaction has read from.
    ours.has("a").unwrap();
    assert!(matches!(transaction.get(n, "b"), Err(Error::TransactionOvertaken)));
    assert!(transaction.is_overtaken());
    assert!(matches!(transaction.count(n), Err(Error::TransactionOvertaken)));
    assert!(matches!(transaction.commit(), Err(Error::TransactionOvertaken)));
}

#[test]
fn a_transaction_that_stays_open_pins_no_pages() {
    let dir = tempfile::tempdir().unwrap();
    let (store, writer) = (open(dir.path()), open(dir.path()));
    let jobs = writer.namespace("jobs").unwrap();
    let value = from_json(&"x".repeat(3_000).into()).unwrap();
    jobs.set("key", &value, Ttl::Never, None, None).unwrap();
    jobs.set("other", &value, Ttl::Never, None, None).unwrap();
    let mut transaction = store.begin_transaction().unwrap();
    let n = transaction.namespace("jobs").unwrap();
    assert!(transaction.has(n, "other").unwrap());
    // Hazard 6: with a pinned snapshot each of these would take new pages.
    for _ in 0..2_000 {
        jobs.set("key", &value, Ttl::Never, None, None).unwrap();
    }
    let stats = writer.stats().unwrap();
    let bytes = stats.used_bytes + stats.free_bytes;
    assert!(bytes < 4 << 20, "the file has grown to {bytes} bytes");
    // It reads on, because what it had read is as it was.
    assert!(transaction.has(n, "key").unwrap());
    set(&mut transaction, n, "other", 1.0);
    transaction.commit().unwrap();
}

#[test]
fn threads_that_recycle_handles_leave_a_transaction_consistent() {
    let dir = tempfile::tempdir().unwrap();
    let (store, other) = (open(dir.path()), open(dir.path()));
    for index in 0..100 {
        let name = format!("t{index}");
        let namespace = other.namespace(&name).unwrap();
        namespace.set("key", &number(1.0), Ttl::Never, None, None).unwrap();
    }
    let (stop, stopped) = channel::<()>();
    std::thread::scope(|scope| {
        // Opens so many namespaces that handles are recycled all the while.
        scope.spawn(move || {
            for round in 0_u64.. {
                if stopped.try_recv().is_ok() {
                    return;
                }
                let namespace = other.namespace(&format!("roam{}", round % 300)).unwrap();
                namespace.increment("key", 1.0).unwrap();
            }
        });
        for round in 1..=20 {
            let mut transaction = store.begin_transaction().unwrap();
            for index in 0..60 {
                let n = transaction.namespace(&format!("t{index}")).unwrap();
                assert_eq!(transaction.increment(n, "key", 1.0).unwrap(), f64::from(round + 1));
            }
            transaction.commit().unwrap();
        }
        stop.send(()).unwrap();
    });
}
