//! Many namespaces through few handles, from several threads (hazards 2 and 42).
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use commonhold::limits::MAX_HANDLES;
use commonhold::value::from_json;
use commonhold::{OpenOptions, Store, Ttl};

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
fn backups_are_whole_while_another_thread_recycles() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    (0..10).for_each(|index| write(&store, index));
    thread::scope(|scope| {
        let others = scope.spawn(|| {
            let store = open(dir.path());
            (10..10 + 3 * MAX_HANDLES).for_each(|index| write(&store, index));
        });
        for round in 0..10 {
            let copy = dir.path().join(format!("copy-{round}"));
            store.backup(&copy, round % 2 == 0).unwrap();
            let options = OpenOptions { path: Some(copy), ..OpenOptions::default() };
            let copy = Store::open(&options).unwrap();
            let names = copy.list_namespaces("job-").unwrap();
            assert!(names.len() >= 10);
            for name in names {
                assert!(copy.namespace(&name).unwrap().has("n").unwrap(), "{name} is empty");
            }
        }
        others.join().unwrap();
    });
}
