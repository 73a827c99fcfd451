//! One environment per store and process, whoever opens and closes it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;

use commonhold::{Code, OpenOptions, Store, Ttl};

fn options(dir: &Path) -> OpenOptions {
    OpenOptions { path: Some(dir.join("store")), ..OpenOptions::default() }
}

#[test]
fn closing_one_handle_leaves_the_others_working() {
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(&options(dir.path())).unwrap();
    let second = Store::open(&options(dir.path())).unwrap();
    let jobs = second.namespace("jobs").unwrap();
    first.close();
    jobs.set("key", &[0xc0], Ttl::Never, None, None).unwrap();
    assert_eq!(jobs.get("key").unwrap().unwrap(), [0xc0]);
    assert_eq!(first.list_namespaces("").unwrap_err().code(), Code::Closed);
}

#[test]
fn a_store_can_be_opened_again_as_soon_as_its_last_handle_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..50 {
        let store = Store::open(&options(dir.path())).unwrap();
        let jobs = store.namespace("jobs").unwrap();
        assert_eq!(jobs.increment("rounds", 1.0).unwrap(), f64::from(round + 1));
        store.close();
        assert_eq!(jobs.has("rounds").unwrap_err().code(), Code::Closed);
    }
}

#[test]
fn a_read_only_handle_refuses_to_write_and_does_not_create_a_store() {
    let dir = tempfile::tempdir().unwrap();
    let read_only = OpenOptions { read_only: true, ..options(dir.path()) };
    assert_eq!(Store::open(&read_only).err().unwrap().code(), Code::NotFound);
    assert!(!dir.path().join("store").exists());
    let writer = Store::open(&options(dir.path())).unwrap();
    let reader = Store::open(&read_only).unwrap();
    writer.namespace("jobs").unwrap().set("key", &[0xc0], Ttl::Never, None, None).unwrap();
    let jobs = reader.namespace("jobs").unwrap();
    assert!(jobs.has("key").unwrap());
    assert_eq!(jobs.delete("key", None).unwrap_err().code(), Code::ReadOnly);
}

#[test]
fn a_store_is_not_made_among_other_files_and_nothing_is_left_there() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("store");
    fs::create_dir(&place).unwrap();
    fs::write(place.join("index.js"), "mine").unwrap();
    assert_eq!(Store::open(&options(dir.path())).err().unwrap().code(), Code::InvalidOption);
    assert_eq!(fs::read_dir(&place).unwrap().count(), 1);

    fs::rename(place.join("index.js"), place.join(".gitkeep")).unwrap();
    Store::open(&options(dir.path())).unwrap().close();
    fs::write(place.join("notes.txt"), "beside the store").unwrap();
    Store::open(&options(dir.path())).unwrap();
}

#[test]
#[cfg(unix)]
fn a_store_that_was_removed_while_it_is_open_is_not_mistaken_for_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let open = Store::open(&options(dir.path())).unwrap();
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    let error = Store::open(&options(dir.path())).err().unwrap();
    assert_eq!(error.code(), Code::InvalidOption);
    open.close();
    Store::open(&options(dir.path())).unwrap();
}

#[test]
fn a_closed_handle_stays_closed_when_others_recycle() {
    let dir = tempfile::tempdir().unwrap();
    let closed = Store::open(&options(dir.path())).unwrap();
    let jobs = closed.namespace("jobs").unwrap();
    jobs.set("key", &[0xc0], Ttl::Never, None, None).unwrap();
    let other = Store::open(&options(dir.path())).unwrap();
    closed.close();
    for index in 0..2 * commonhold::limits::MAX_HANDLES {
        let namespace = other.namespace(&format!("job-{index}")).unwrap();
        namespace.set("key", &[0xc0], Ttl::Never, None, None).unwrap();
    }
    assert_eq!(jobs.has("key").unwrap_err().code(), Code::Closed);
}
