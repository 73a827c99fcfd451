//! A store that format 1 wrote is read as it was written (docs/format.md).
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};

use commonhold::{
    ChangeKind, Channel, Code, Interest, OpenOptions, QueueOptions, QueueStats, Store, TaskStatus,
    Ttl,
};
use serde_json::Value;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1")
}

/// A private copy: a checkout may be writable by a group, which a store may not.
fn copy(dir: &Path) -> Store {
    for file in ["commonhold.json", "data.mdb"] {
        fs::write(dir.join(file), fs::read(fixture().join(file)).unwrap()).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(dir.join(file), fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
    Store::open(&OpenOptions { path: Some(dir.to_owned()), ..OpenOptions::default() }).unwrap()
}

#[test]
fn the_golden_store_holds_what_was_written_to_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = copy(dir.path());
    let expected: Value =
        serde_json::from_slice(&fs::read(fixture().join("expected.json")).unwrap()).unwrap();
    let namespaces = expected.as_object().unwrap();
    let mut names: Vec<_> = namespaces.keys().cloned().collect();
    names.sort();
    assert_eq!(store.list_namespaces("").unwrap(), names);
    for (name, entries) in namespaces {
        let namespace = store.namespace(name).unwrap();
        let entries = entries.as_object().unwrap();
        assert_eq!(namespace.count().unwrap(), entries.len() as u64);
        for (key, value) in entries {
            assert_eq!(namespace.get_json(key).unwrap().as_ref(), Some(value), "{name} {key}");
        }
    }
    let tagged = |head: &commonhold::EntryHead, _: &[u8]| {
        assert_eq!(head.created_by, "fixture");
        assert_eq!(head.metadata, br#"{"source":"fixture","step":1}"#);
        head.version
    };
    let version = store.namespace("default").unwrap().get_entry_with("tagged", tagged).unwrap();
    let next = store.namespace("default").unwrap().set("new", &[0xc0], Ttl::Never, None, None);
    assert!(version.unwrap() < next.unwrap());
}

#[test]
fn the_golden_store_tells_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let store = copy(dir.path());
    let all = Interest::Namespaces { prefix: String::new() };
    let mut watcher = store.watch(all, Some(0), Channel::new(|| ())).unwrap();
    let told: Vec<_> = watcher
        .read(usize::MAX)
        .unwrap()
        .into_iter()
        .map(|change| (change.kind.unwrap(), change.namespace.to_string(), change.key, change.last))
        .collect();
    let of = |name: &str| told.iter().filter(|told| told.1 == name).cloned().collect::<Vec<_>>();
    let change = |kind, key: &str| (kind, "gone".to_owned(), key.to_owned(), true);
    assert_eq!(of("gone"), [change(ChangeKind::Delete, "a"), change(ChangeKind::Clear, "")]);
    let set = |key: &str, last| (ChangeKind::Set, "default".to_owned(), key.to_owned(), last);
    let expected = ["greeting", "none", "yes", "tagged", "expiring"];
    let is_last = |key: &str| !matches!(key, "greeting" | "none");
    assert_eq!(of("default"), expected.map(|key| set(key, is_last(key))));
}

#[test]
fn the_golden_store_has_a_task_of_each_status() {
    let dir = tempfile::tempdir().unwrap();
    let store = copy(dir.path());
    let queue = store.queue("a queue", QueueOptions { lease_ms: 60_000, max_attempts: 2 }).unwrap();
    let (pending, delayed, claimed, completed, dead) = (1, 1, 1, 1, 1);
    let stats = QueueStats { pending, delayed, claimed, completed, dead };
    assert_eq!(queue.stats().unwrap(), stats);
    for status in TaskStatus::ALL {
        let mut seen = Vec::new();
        let visit = |task: &commonhold::TaskState| {
            let item = commonhold::value::to_json(task.item).unwrap();
            assert_eq!(item, serde_json::json!({ "id": task.id }));
            let result = task.result.map(|result| commonhold::value::to_json(result).unwrap());
            seen.push((task.id.to_owned(), task.attempt, task.error.map(str::to_owned), result));
        };
        queue.list(Some(status), 10, visit).unwrap();
        let attempt = u64::from(!matches!(status, TaskStatus::Pending | TaskStatus::Delayed));
        let error = (status == TaskStatus::Dead).then(|| "a reason".to_owned());
        let result = (status == TaskStatus::Completed).then(|| "a result".into());
        assert_eq!(seen, [(status.name().to_owned(), attempt, error, result)]);
    }
    // The lease ran out long ago: its task comes first.
    let task = queue.claim().unwrap().unwrap();
    assert_eq!((&*task.id, task.attempt), ("claimed", 2));
}

#[test]
fn a_store_of_a_newer_format_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    copy(dir.path()).close();
    let marker = dir.path().join("commonhold.json");
    let newer = fs::read_to_string(&marker).unwrap().replace("\"format\":1", "\"format\":2");
    let newer = newer.replace("\"format\": 1", "\"format\": 2");
    fs::write(&marker, newer).unwrap();
    let data = fs::read(dir.path().join("data.mdb")).unwrap();
    let path = Some(dir.path().to_owned());
    let error = Store::open(&OpenOptions { path, ..OpenOptions::default() }).err().unwrap();
    assert_eq!(error.code(), Code::FormatVersion);
    assert_eq!(fs::read(dir.path().join("data.mdb")).unwrap(), data);
}
