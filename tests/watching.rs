//! Watching through the core's own interface.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use commonhold::{
    Batch, ChangeKind, Channel, HistoryLimits, Interest, OpenOptions, Store, Ttl, WatchedChange,
    Watcher,
};

const LONG: Duration = Duration::from_secs(60);
const CHUNK_BYTES: usize = 64 * 1024;

fn open(dir: &Path, history: HistoryLimits) -> Store {
    let path = Some(dir.join("store"));
    Store::open(&OpenOptions { path, history, ..OpenOptions::default() }).unwrap()
}

/// A channel, and what tells that ids were left in it.
fn listening() -> (Arc<Channel>, Receiver<()>) {
    let (sender, receiver) = channel();
    let notify = move || {
        let _ = sender.send(());
    };
    (Channel::new(notify), receiver)
}

fn all_of(namespace: &str) -> Interest {
    Interest::Prefix { namespace: namespace.into(), prefix: String::new() }
}

fn set(store: &Store, key: &str, value: u8) -> u64 {
    let namespace = store.namespace("n").unwrap();
    namespace.set(key, &[value], Ttl::Never, None, None).unwrap()
}

/// Everything up to the end of the history; `None` for a reset.
fn drain(watcher: &mut Watcher) -> Vec<(Option<ChangeKind>, String, u64, bool)> {
    let mut all = Vec::new();
    loop {
        let changes = watcher.read(CHUNK_BYTES).unwrap();
        if changes.is_empty() {
            return all;
        }
        all.extend(
            changes
                .into_iter()
                .map(|WatchedChange { kind, key, version, last, .. }| (kind, key, version, last)),
        );
    }
}

#[test]
fn a_watcher_tells_the_state_and_then_each_change_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), HistoryLimits::default());
    let first = set(&store, "b", 1);
    let second = set(&store, "a", 2);
    let (ready, told) = listening();
    let mut watcher = store.watch(all_of("n"), None, Arc::clone(&ready)).unwrap();
    let set_of = |key: &str, version| (Some(ChangeKind::Set), key.to_owned(), version, true);
    assert_eq!(drain(&mut watcher), [set_of("b", first), set_of("a", second)]);
    for round in 0..200 {
        let version = set(&store, "key", round);
        // The channel says so, once, and nothing comes twice.
        told.recv_timeout(LONG).unwrap();
        assert_eq!(ready.take(), [watcher.id()]);
        assert_eq!(drain(&mut watcher), [set_of("key", version)]);
    }
    store.namespace("other").unwrap().set("key", &[1], Ttl::Never, None, None).unwrap();
    let last = set(&store, "key", 1);
    told.recv_timeout(LONG).unwrap();
    assert_eq!(drain(&mut watcher), [set_of("key", last)]);
}

#[test]
fn a_resumed_watcher_tells_what_came_since() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), HistoryLimits::default());
    let mut batch = Batch::new();
    let namespace = batch.namespace("n").unwrap();
    let keys: Vec<String> = (0..1_000).map(|index| format!("key {index:04}")).collect();
    for key in &keys {
        batch.set(namespace, key, &[1], Ttl::Never, None).unwrap();
    }
    let before = set(&store, "before", 1);
    let version = store.commit(&batch).unwrap().version.unwrap();
    let (ready, _told) = listening();
    let mut watcher = store.watch(all_of("n"), Some(before), Arc::clone(&ready)).unwrap();
    let changes = drain(&mut watcher);
    assert_eq!(changes.len(), keys.len());
    for ((kind, key, at, last), expected) in changes.iter().zip(&keys) {
        assert_eq!((*kind, key, *at), (Some(ChangeKind::Set), expected, version));
        assert_eq!(*last, key == "key 0999");
    }
    let mut nothing = store.watch(all_of("n"), Some(version), ready).unwrap();
    assert_eq!(drain(&mut nothing), []);
}

#[test]
fn a_version_out_of_reach_is_a_reset_and_then_the_state() {
    let dir = tempfile::tempdir().unwrap();
    let small = HistoryLimits { max_bytes: 64 * 1024, ..HistoryLimits::default() };
    let store = open(dir.path(), small);
    let first = set(&store, "first", 1);
    let (ready, _told) = listening();
    let mut slow = store.watch(all_of("n"), None, Arc::clone(&ready)).unwrap();
    assert_eq!(slow.read(1).unwrap().len(), 1);
    let long = "k".repeat(1_900);
    for index in 0..200 {
        set(&store, &format!("{long}{}", index % 4), index);
    }
    let newest = set(&store, "newest", 1);
    let expected_keys = |changes: &[(Option<ChangeKind>, String, u64, bool)]| {
        changes.iter().skip(1).map(|(_, key, ..)| key.clone()).collect::<Vec<_>>()
    };
    let mut keys: Vec<String> = (0..4).map(|index| format!("{long}{index}")).collect();
    keys.insert(0, "first".into());
    keys.push("newest".into());
    let future = store.watch(all_of("n"), Some(newest + 1), Arc::clone(&ready)).unwrap();
    let trimmed = store.watch(all_of("n"), Some(first), ready).unwrap();
    for mut watcher in [slow, future, trimmed] {
        let changes = drain(&mut watcher);
        assert_eq!(changes.first(), Some(&(None, String::new(), newest, false)));
        assert_eq!(expected_keys(&changes), keys);
        assert!(changes.iter().skip(1).all(|(.., last)| *last));
    }
}

#[test]
fn a_reset_in_the_middle_of_a_commit_claims_no_end_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let small = HistoryLimits { max_bytes: 64 * 1024, ..HistoryLimits::default() };
    let store = open(dir.path(), small);
    let before = set(&store, "before", 1);
    let mut batch = Batch::new();
    let namespace = batch.namespace("n").unwrap();
    // More than a watcher reads from the history at a time.
    let keys: Vec<String> = (0..600).map(|index| format!("key {index:04}")).collect();
    for key in &keys {
        batch.set(namespace, key, &[1], Ttl::Never, None).unwrap();
    }
    let version = store.commit(&batch).unwrap().version.unwrap();
    let (ready, _told) = listening();
    let mut watcher = store.watch(all_of("n"), Some(before), ready).unwrap();
    let mut changes = watcher.read(1).unwrap();
    let long = "k".repeat(1_900);
    for index in 0..400 {
        set(&store, &format!("{long}{}", index % 4), 1);
    }
    while changes.iter().all(|change| change.kind.is_some()) {
        changes.extend(watcher.read(1).unwrap());
    }
    let reset = changes.iter().position(|change| change.kind.is_none()).unwrap();
    assert!((200..300).contains(&reset), "{reset} changes before the reset");
    let is_part = |change: &WatchedChange| change.version == version && !change.last;
    assert!(changes.iter().take(reset).all(is_part));
}

#[test]
fn closing_the_store_ends_the_wait_of_a_watcher() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), HistoryLimits::default());
    let (ready, told) = listening();
    let mut watcher = store.watch(all_of("n"), None, Arc::clone(&ready)).unwrap();
    assert_eq!(drain(&mut watcher), []);
    store.close();
    told.recv_timeout(LONG).unwrap();
    assert_eq!(ready.take(), [watcher.id()]);
    assert!(watcher.read(CHUNK_BYTES).is_err());
    assert!(store.watch(all_of("n"), None, ready).is_err());
}

#[test]
fn an_armed_subscription_is_told_once_for_each_arming() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), HistoryLimits::default());
    let (ready, told) = listening();
    let interest = |key: &str| Interest::Key { namespace: "n".into(), key: key.into() };
    let subscription = store.subscribe(interest("key"), Arc::clone(&ready)).unwrap();
    let sentinel = store.subscribe(interest("sentinel"), Arc::clone(&ready)).unwrap();
    for _ in 0..100 {
        subscription.arm();
        set(&store, "other", 1);
        set(&store, "key", 1);
        told.recv_timeout(LONG).unwrap();
        assert_eq!(ready.take(), [subscription.id()]);
        // Not armed: what comes is for the other one only.
        sentinel.arm();
        set(&store, "key", 1);
        set(&store, "sentinel", 1);
        told.recv_timeout(LONG).unwrap();
        assert_eq!(ready.take(), [sentinel.id()]);
    }
}
