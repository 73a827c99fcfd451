//! Snapshots do not make the file grow, and a small map follows a store that others grow.
#![allow(clippy::unwrap_used, missing_docs)]

use commonhold::value::from_json;
use commonhold::{Code, OpenOptions, Store, Ttl};

fn open(dir: &std::path::Path, max_size: Option<u64>) -> Store {
    let path = Some(dir.join("store"));
    Store::open(&OpenOptions { path, max_size, ..OpenOptions::default() }).unwrap()
}

#[test]
fn a_thread_that_read_once_does_not_pin_pages_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let (idle, writer) = (open(dir.path(), None), open(dir.path(), None));
    let jobs = writer.namespace("jobs").unwrap();
    let value = from_json(&"x".repeat(3_000).into()).unwrap();
    jobs.set("key", &value, Ttl::Never, None, None).unwrap();
    assert!(idle.namespace("jobs").unwrap().has("key").unwrap());
    // Hazard 6: with a pinned snapshot each of these would take new pages.
    for _ in 0..2_000 {
        jobs.set("key", &value, Ttl::Never, None, None).unwrap();
    }
    let stats = writer.stats().unwrap();
    let bytes = stats.used_bytes + stats.free_bytes;
    assert!(bytes < 4 << 20, "the file has grown to {bytes} bytes");
}

#[test]
fn a_full_map_is_an_error_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Some(2 << 20));
    let jobs = store.namespace("jobs").unwrap();
    let value = from_json(&"x".repeat(100_000).into()).unwrap();
    let mut written = 0;
    let error = loop {
        match jobs.set(&format!("{written:03}"), &value, Ttl::Never, None, None) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::StoreFull);
    assert_eq!(jobs.count().unwrap(), written);
    assert_eq!(jobs.clear("").unwrap(), written);
    // The freed pages can be used as soon as no snapshot from before can need them.
    jobs.set("again", &value, Ttl::Never, None, None).unwrap();
}

#[test]
fn entries_can_be_deleted_one_by_one_from_a_full_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Some(1 << 20));
    let value = from_json(&"x".repeat(500).into()).unwrap();
    let namespaces: Vec<_> =
        (0..40).map(|index| store.namespace(&format!("job-{index}")).unwrap()).collect();
    let mut written = 0_usize;
    'full: for round in 0.. {
        for namespace in &namespaces {
            let ttl = if round % 2 == 0 { Ttl::Never } else { Ttl::AfterMs(3_600_000) };
            match namespace.set(&format!("{round:03}"), &value, ttl, None, None) {
                Ok(_) => written += 1,
                Err(error) => {
                    assert_eq!(error.code(), Code::StoreFull);
                    break 'full;
                }
            }
        }
    }
    for round in (0..).take(written / namespaces.len()) {
        for namespace in &namespaces {
            assert!(namespace.delete(&format!("{round:03}"), None).unwrap());
        }
    }
    namespaces.first().unwrap().set("again", &value, Ttl::Never, None, None).unwrap();
}

#[test]
fn what_has_expired_makes_room_in_a_full_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Some(1 << 20));
    let jobs = store.namespace("jobs").unwrap();
    let value = from_json(&"x".repeat(1_000).into()).unwrap();
    // Several times what fits: each finds room that earlier ones have left.
    for index in 0..3_000 {
        match jobs.set(&format!("{index:05}"), &value, Ttl::AfterMs(1), None, None) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.code(), Code::StoreFull),
        }
    }
    jobs.set("last", &value, Ttl::Never, None, None).unwrap();
}
