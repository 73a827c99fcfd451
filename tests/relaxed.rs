//! Relaxed durability, in one process: what is on the disk when, and what a recovery does.
#![cfg(target_os = "linux")]
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;
use std::time::{Duration, Instant};

use commonhold::{Durability, OpenOptions, Store, Ttl};

const NEVER: Duration = Duration::from_secs(3_600);

fn open(dir: &Path, durability: Durability, flush_interval: Duration) -> Store {
    Store::open(&OpenOptions {
        path: Some(dir.to_owned()),
        agent: Some("tester".into()),
        durability,
        flush_interval: Some(flush_interval),
        ..OpenOptions::default()
    })
    .unwrap()
}

fn set(store: &Store, key: &str, value: u64) -> u64 {
    let value = commonhold::value::from_json(&value.into()).unwrap();
    store.namespace("numbers").unwrap().set(key, &value, Ttl::Never, None, None).unwrap()
}

fn get(store: &Store, key: &str) -> Option<serde_json::Value> {
    store.namespace("numbers").unwrap().get_json(key).unwrap()
}

/// The version that a power cut would leave, as the file says; `None` where all is synced.
fn rolls_back_to(store: &Store) -> Option<u64> {
    let bytes = std::fs::read(store.path().join("checkpoint")).ok()?;
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    let newest = if word(16) > word(4096 + 16) { 0 } else { 4096 };
    let state = u32::from_le_bytes(bytes[newest + 12..newest + 16].try_into().unwrap());
    (state != 1).then(|| word(newest + 80))
}

fn wait_until(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(60), "it never happened");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_strict_store_has_no_file_of_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Strict, NEVER);
    set(&store, "a", 1);
    store.flush().unwrap();
    assert!(!dir.path().join("checkpoint").exists());
    assert_eq!(store.stats().unwrap().checkpoint, None);
}

#[test]
fn a_relaxed_write_is_on_the_disk_after_flush_and_after_the_interval() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Relaxed, NEVER);
    let first = set(&store, "a", 1);
    assert!(rolls_back_to(&store).unwrap() < first, "it was synced at once");
    store.flush().unwrap();
    assert_eq!(rolls_back_to(&store), Some(first));
    assert_eq!(store.stats().unwrap().checkpoint.unwrap().version, first);
    let quick = open(dir.path(), Durability::Relaxed, Duration::from_millis(10));
    let second = set(&quick, "a", 2);
    wait_until(|| rolls_back_to(&store).is_none_or(|version| version >= second));
}

#[test]
fn a_strict_write_beside_unsynced_ones_is_on_the_disk_with_them_when_it_returns() {
    let dir = tempfile::tempdir().unwrap();
    let relaxed = open(dir.path(), Durability::Relaxed, NEVER);
    let strict = open(dir.path(), Durability::Strict, NEVER);
    for round in 0..10 {
        let unsynced = set(&relaxed, "a", round);
        assert!(rolls_back_to(&relaxed).unwrap() < unsynced);
        let synced = set(&strict, "b", round);
        assert_eq!(rolls_back_to(&relaxed), Some(synced));
    }
}

#[test]
fn an_idle_store_is_synced_and_a_closed_one_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Relaxed, NEVER);
    set(&store, "a", 1);
    store.flush().unwrap();
    wait_until(|| rolls_back_to(&store).is_none());
    set(&store, "a", 2);
    assert!(rolls_back_to(&store).is_some());
    store.close();
    assert_eq!(rolls_back_to(&store), None);
    let store = open(dir.path(), Durability::Strict, NEVER);
    assert_eq!(get(&store, "a"), Some(2.into()));
    assert_eq!(store.stats().unwrap().recovery, None);
}

#[test]
fn commits_that_are_not_on_the_disk_are_bounded_and_so_is_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Relaxed, NEVER);
    for round in 0..10_000 {
        let version = set(&store, &format!("key {}", round % 100), round);
        assert!(version - rolls_back_to(&store).unwrap() < 1_000);
    }
    let bytes = std::fs::metadata(dir.path().join("data.mdb")).unwrap().len();
    assert!(bytes < 64 << 20, "{bytes} bytes");
}

/// Has a store take another process for active: it has the lock, and has set the word.
fn feign_an_active_process(store: &Store) -> std::fs::File {
    use std::os::unix::fs::FileExt;
    let open = |name| {
        let path = store.path().join(name);
        std::fs::File::options().create(true).truncate(false).write(true).open(path).unwrap()
    };
    let lock = open("relaxed.lock");
    lock.lock_shared().unwrap();
    open("wake").write_all_at(&1_u32.to_ne_bytes(), 512).unwrap();
    lock
}

#[test]
fn sweeps_of_a_strict_process_beside_a_relaxed_one_reach_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Strict, NEVER);
    set(&store, "a", 0);
    let lock = feign_an_active_process(&store);
    let value = commonhold::value::from_json(&0.into()).unwrap();
    let numbers = store.namespace("numbers").unwrap();
    let newest = || store.stats().unwrap().last_version;
    let begin = Instant::now();
    // Until a sweep is the last commit.
    loop {
        numbers.set("short-lived", &value, Ttl::AfterMs(1), None, None).unwrap();
        let strict = set(&store, "a", 1);
        std::thread::sleep(Duration::from_millis(5));
        if newest() > strict {
            break;
        }
        assert!(begin.elapsed() < Duration::from_secs(60), "nothing was swept");
    }
    let swept = newest();
    wait_until(|| rolls_back_to(&store).is_none_or(|version| version >= swept));
    drop(lock);
}

#[test]
fn a_store_that_waits_for_another_process_while_it_closes_keeps_no_other_store_waiting() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(&OpenOptions {
        path: Some(dir.path().to_owned()),
        durability: Durability::Relaxed,
        busy_timeout: Some(Duration::from_secs(120)),
        ..OpenOptions::default()
    })
    .unwrap();
    set(&store, "a", 1);
    let gate = std::fs::File::options().write(true).open(dir.path().join("writer.lock")).unwrap();
    gate.lock().unwrap();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        let closing = scope.spawn(move || store.close());
        // By then it waits for the gate.
        while begin.elapsed() < Duration::from_millis(100) {
            open(other.path(), Durability::Strict, NEVER).close();
        }
        assert!(!closing.is_finished());
        assert!(begin.elapsed() < Duration::from_secs(60), "it waited with the other store");
        gate.unlock().unwrap();
        closing.join().unwrap();
    });
    open(dir.path(), Durability::Strict, NEVER);
}

#[test]
fn recycling_takes_a_checkpoint_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Relaxed, NEVER);
    let value = commonhold::value::from_json(&"x".into()).unwrap();
    for round in 0..3 {
        for number in 0..300 {
            let namespace = store.namespace(&format!("namespace {number}")).unwrap();
            if round > 0 && number % 7 == 0 {
                assert!(namespace.get_json("key").unwrap().is_some());
            }
            namespace.set("key", &value, Ttl::Never, None, None).unwrap();
        }
    }
    assert_eq!(store.stats().unwrap().namespaces, 300);
    store.close();
    assert_eq!(rolls_back_to(&store), None);
}

/// A copy of the files as they are now: what the page cache has, as if all processes were killed.
fn killed(store: &Store) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for file in ["data.mdb", "commonhold.json", "checkpoint", "wake"] {
        std::fs::copy(store.path().join(file), copy.path().join(file)).unwrap();
    }
    copy
}

/// The same under another run of the kernel.
fn cut(store: &Store) -> tempfile::TempDir {
    let copy = killed(store);
    let path = copy.path().join("checkpoint");
    let mut bytes = std::fs::read(&path).unwrap();
    for slot in [0, 4096] {
        bytes[slot + 24] ^= 1;
        let checksum = crc32c::crc32c(&bytes[slot + 12..slot + 512]);
        bytes[slot + 8..slot + 12].copy_from_slice(&checksum.to_le_bytes());
    }
    std::fs::write(&path, bytes).unwrap();
    copy
}

#[test]
fn processes_that_are_killed_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Relaxed, NEVER);
    for round in 0..100 {
        set(&store, "a", round);
    }
    let copy = killed(&store);
    let again = open(copy.path(), Durability::Strict, NEVER);
    assert_eq!(get(&again, "a"), Some(99.into()));
    assert_eq!(rolls_back_to(&again), None);
    assert_eq!(again.stats().unwrap().recovery, None);
    set(&again, "a", 100);
}

#[test]
fn after_a_power_cut_the_store_goes_back_to_the_checkpoint_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Relaxed, NEVER);
    set(&store, "a", 1);
    let kept = set(&store, "b", 2);
    store.flush().unwrap();
    let mut lost = 0;
    for round in 0..50 {
        lost = set(&store, &format!("key {round}"), round);
        set(&store, "a", 100 + round);
    }
    for durability in [Durability::Strict, Durability::Relaxed] {
        let copy = cut(&store);
        let again = open(copy.path(), durability, NEVER);
        assert_eq!(get(&again, "a"), Some(1.into()));
        assert_eq!(get(&again, "b"), Some(2.into()));
        assert_eq!(get(&again, "key 0"), None);
        let stats = again.stats().unwrap();
        let recovery = stats.recovery.unwrap();
        assert_eq!((recovery.commits, recovery.version), (100, kept));
        assert!(recovery.since_ms <= recovery.at_ms);
        // No version is handed out twice, and whoever was told a lost one begins anew.
        assert!(stats.last_version > lost + (1 << 31));
        assert!(set(&again, "a", 3) > stats.last_version);
        again.close();
        // It is told until the next one, and not rolled back again.
        let again = open(copy.path(), Durability::Strict, NEVER);
        assert_eq!(get(&again, "a"), Some(3.into()));
        assert_eq!(again.stats().unwrap().recovery, Some(recovery));
    }
}

#[test]
fn chained_power_cuts_go_back_to_the_checkpoint_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path(), Durability::Relaxed, NEVER);
    let mut copies = Vec::new();
    for round in 1..6 {
        set(&store, "kept", round);
        store.flush().unwrap();
        for number in 0..200 {
            set(&store, &format!("key {number}"), 1_000 * round + number);
        }
        copies.push(cut(&store));
        store = open(copies.last().unwrap().path(), Durability::Relaxed, NEVER);
        assert_eq!(get(&store, "kept"), Some(round.into()));
        assert_eq!(get(&store, "key 7"), None);
        assert_eq!(store.stats().unwrap().keys, 1);
    }
}

#[test]
fn a_power_cut_after_a_strict_write_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let relaxed = open(dir.path(), Durability::Relaxed, NEVER);
    let strict = open(dir.path(), Durability::Strict, NEVER);
    set(&relaxed, "a", 1);
    set(&strict, "b", 2);
    set(&relaxed, "a", 3);
    let copy = cut(&strict);
    let again = open(copy.path(), Durability::Strict, NEVER);
    assert_eq!((get(&again, "a"), get(&again, "b")), (Some(1.into()), Some(2.into())));
}

#[test]
fn a_checkpoint_of_another_store_is_not_obeyed() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path(), Durability::Relaxed, NEVER);
    set(&store, "a", 1);
    let stranger = open(other.path(), Durability::Strict, NEVER);
    set(&stranger, "a", 7);
    stranger.close();
    let copy = cut(&store);
    for file in ["data.mdb", "commonhold.json"] {
        std::fs::copy(other.path().join(file), copy.path().join(file)).unwrap();
    }
    let again = open(copy.path(), Durability::Relaxed, NEVER);
    assert_eq!(get(&again, "a"), Some(7.into()));
    set(&again, "a", 8);
    again.flush().unwrap();
    assert_eq!(again.stats().unwrap().recovery, None);
    let cut_again = cut(&again);
    let again = open(cut_again.path(), Durability::Relaxed, NEVER);
    assert_eq!(get(&again, "a"), Some(8.into()));
}

#[test]
fn an_older_copy_of_the_data_file_is_taken_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Strict, NEVER);
    set(&store, "a", 1);
    store.close();
    let older = std::fs::read(dir.path().join("data.mdb")).unwrap();
    let store = open(dir.path(), Durability::Relaxed, NEVER);
    set(&store, "a", 2);
    store.flush().unwrap();
    let copy = cut(&store);
    std::fs::write(copy.path().join("data.mdb"), older).unwrap();
    let again = open(copy.path(), Durability::Relaxed, NEVER);
    assert_eq!(get(&again, "a"), Some(1.into()));
    set(&again, "a", 3);
    assert_eq!(again.stats().unwrap().recovery, None);
}

/// A generator of numbers (xorshift), so that a seed is all it takes to repeat a failure.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[test]
fn whatever_pages_a_power_cut_leaves_the_checkpoint_is_whole() {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let seed = now.as_nanos() as u64 | 1;
    println!("seed {seed}");
    let mut state = seed;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Durability::Relaxed, NEVER);
    let mut expected = std::collections::BTreeMap::new();
    for round in 0..10 {
        for _ in 0..random(&mut state) % 200 {
            let key = format!("key {}", random(&mut state) % 500);
            let value = random(&mut state) >> 12;
            set(&store, &key, value);
            expected.insert(key, value);
        }
        store.flush().unwrap();
        let synced = std::fs::read(dir.path().join("data.mdb")).unwrap();
        let mut after = expected.clone();
        for _ in 0..random(&mut state) % 200 {
            let key = format!("key {}", random(&mut state) % 500);
            let value = random(&mut state) >> 12;
            set(&store, &key, value);
            after.insert(key, value);
        }
        for _ in 0..3 {
            let copy = cut(&store);
            let path = copy.path().join("data.mdb");
            let mut bytes = std::fs::read(&path).unwrap();
            for (index, page) in bytes.chunks_mut(4096).enumerate() {
                if random(&mut state).is_multiple_of(2) {
                    // This page of what came later never reached the disk.
                    match synced.get(index * 4096..index * 4096 + page.len()) {
                        Some(old) => page.copy_from_slice(old),
                        None => page.fill(0),
                    }
                }
            }
            std::fs::write(&path, bytes).unwrap();
            // What is looked at is the checkpoint, and nothing is changed by looking.
            let report = commonhold::check(Some(copy.path()), None).unwrap();
            assert!(report.problems.is_empty(), "{:?}", report.problems);
            let again = open(copy.path(), Durability::Relaxed, NEVER);
            for (key, value) in &expected {
                assert_eq!(get(&again, key), Some((*value).into()), "round {round}, {key}");
            }
            assert_eq!(again.stats().unwrap().keys, expected.len() as u64);
            set(&again, "after", 1);
        }
        expected = after;
    }
}
