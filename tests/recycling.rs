//! Many namespaces through few handles, from several threads (hazards 2 and 42).
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use commonhold::limits::MAX_HANDLES;
use commonhold::value::from_json;
use commonhold::{OpenOptions, Range, Store, Ttl, Visit};

fn open(dir: &std::path::Path) -> Store {
    Store::open(&OpenOptions { path: Some(dir.join("store")), ..OpenOptions::default() }).unwrap()
}

fn name(index: usize) -> String {
    format!("job-{index}")
}

fn write(store: &Store, index: usize) {
    let value = from_json(&index.into()).unwrap();
    store.namespace(&name(index)).unwrap().set("n", &value, Ttl::Never, None, None).unwrap();
}

fn read(store: &Store, index: usize) -> Option<serde_json::Value> {
    store.namespace(&name(index)).unwrap().get_json("n").unwrap()
}

#[test]
fn every_namespace_answers_with_its_own_data_however_many_there_are() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let many = 3 * MAX_HANDLES;
    (0..many).for_each(|index| write(&store, index));
    for index in (0..many).rev() {
        assert_eq!(read(&store, index), Some(index.into()));
    }
    assert_eq!(store.list_namespaces("job-").unwrap().len(), many);
}

#[test]
fn threads_that_create_and_read_namespaces_at_once_never_see_each_others_data() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let many = 2 * MAX_HANDLES;
    (0..many).for_each(|index| write(&store, index));
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for start in [0, 7, 101] {
            let (dir, stop) = (dir.path(), &stop);
            scope.spawn(move || {
                let store = open(dir);
                let mut index = start;
                while !stop.load(Ordering::Relaxed) {
                    index = (index * 31 + 17) % many;
                    assert_eq!(read(&store, index), Some(index.into()));
                }
            });
        }
        for index in many..many + 200 {
            write(&store, index);
            assert_eq!(read(&store, index), Some(index.into()));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_pinned_scan_holds_its_snapshot_while_another_thread_wants_to_recycle() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let jobs = store.namespace("jobs").unwrap();
    let value = from_json(&1.into()).unwrap();
    for index in 0..100 {
        jobs.set(&format!("{index:03}"), &value, Ttl::Never, None, None).unwrap();
    }
    let mut scan = jobs.scan(&Range::default(), true).unwrap();
    thread::scope(|scope| {
        let dir = dir.path();
        let others = scope.spawn(move || {
            let store = open(dir);
            (0..2 * MAX_HANDLES).for_each(|index| write(&store, index));
        });
        let mut keys = Vec::new();
        loop {
            let mut room = 7;
            let done = scan
                .next_chunk(|entry| {
                    if room == 0 {
                        return Ok(Visit::Full);
                    }
                    room -= 1;
                    keys.push(entry.key().to_owned());
                    Ok(Visit::Taken)
                })
                .unwrap();
            if done {
                break;
            }
            thread::yield_now();
        }
        assert_eq!(keys.len(), 100);
        others.join().unwrap();
    });
}
