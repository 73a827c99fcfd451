//! Expired entries are removed by whoever writes, whether or not anybody reads.
#![allow(clippy::unwrap_used, missing_docs)]

use commonhold::{OpenOptions, Store, Ttl};

#[test]
fn a_process_that_only_writes_sweeps_what_has_expired() {
    let dir = tempfile::tempdir().unwrap();
    let path = Some(dir.path().join("store"));
    let store = Store::open(&OpenOptions { path, ..OpenOptions::default() }).unwrap();
    let beats = store.namespace("heartbeats").unwrap();
    let mut batch = commonhold::Batch::new();
    let namespace = batch.namespace("heartbeats").unwrap();
    let keys: Vec<String> = (0..3_000).map(|index| format!("{index:04}")).collect();
    for key in &keys {
        batch.set(namespace, key, &[0xc0], Ttl::AfterMs(1), None).unwrap();
    }
    let written = store.commit(&batch).unwrap().version.unwrap();
    // The sweeper's commits are the only ones: wait until they have come.
    let swept = || store.stats().unwrap();
    while swept().last_version < written + 3 {
        std::thread::yield_now();
    }
    assert_eq!(beats.count().unwrap(), 0);
    assert_eq!(store.list_namespaces("").unwrap(), Vec::<String>::new());
}
