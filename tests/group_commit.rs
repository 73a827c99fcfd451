//! Writes that share commits: what they may and may not do to one another.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs)]

use std::sync::mpsc::{Receiver, Sender, channel};

use commonhold::{Batch, Code, Committed, OpenOptions, Outcome, Result, Store, Ttl, Write};

/// One write of a namespace "n".
#[derive(Clone, Copy)]
enum Change {
    Set(&'static str, u8),
    SetAt(&'static str, u64),
    Increment(&'static str),
    Delete(&'static str),
    Clear,
    /// Writes an entry, then fails.
    SetThenIncrement(&'static str, &'static str),
}

impl Write for Change {
    fn batch(&self) -> Result<Batch<'_>> {
        let mut batch = Batch::new();
        let n = batch.namespace("n")?;
        match self {
            Change::Set(key, value) => {
                batch.set(n, key, std::slice::from_ref(value), Ttl::Never, None)?;
            }
            Change::SetAt(key, version) => {
                batch.require_version(n, key, *version)?;
                batch.set(n, key, &[0xc0], Ttl::Never, None)?;
            }
            Change::Increment(key) => batch.increment(n, key, 1.0)?,
            Change::Delete(key) => batch.delete(n, key)?,
            Change::Clear => batch.clear(n, ""),
            Change::SetThenIncrement(key, text) => {
                batch.set(n, key, &[1], Ttl::Never, None)?;
                batch.increment(n, text, 1.0)?;
            }
        }
        Ok(batch)
    }
}

struct Fixture {
    store: Store,
    _dir: tempfile::TempDir,
}

fn fixture() -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let path = Some(dir.path().join("store"));
    let store = Store::open(&OpenOptions { path, ..OpenOptions::default() }).unwrap();
    Fixture { store, _dir: dir }
}

/// A write that keeps the writer thread busy until it is told to go on, so that what is submitted
/// meanwhile is queued together.
struct Brake {
    begun: Sender<()>,
    go: Receiver<()>,
}

impl Write for Brake {
    fn batch(&self) -> Result<Batch<'_>> {
        let _ = self.begun.send(());
        let _ = self.go.recv();
        Ok(Batch::new())
    }
}

impl Fixture {
    /// Holds the writer thread up until what is returned is dropped.
    fn brake(&self) -> Sender<()> {
        let ((begun, has_begun), (release, go)) = (channel(), channel());
        self.store.submit(0, Box::new(Brake { begun, go }), Box::new(|_| ())).unwrap();
        has_begun.recv().unwrap();
        release
    }

    /// Submits all while the writer thread is held up; returns their results in order.
    fn together(&self, changes: &[Change]) -> Vec<Result<Committed>> {
        let brake = self.brake();
        let (answer, answers) = channel();
        for (number, change) in changes.iter().enumerate() {
            let answer = answer.clone();
            let done = Box::new(move |result| answer.send((number, result)).unwrap());
            self.store.submit(1, Box::new(*change), done).unwrap();
        }
        drop(brake);
        let answers: Vec<_> = answers.iter().take(changes.len()).collect();
        for (position, (number, _)) in answers.iter().enumerate() {
            assert_eq!(position, *number, "answers come in the order of the calls");
        }
        answers.into_iter().map(|(_, result)| result).collect()
    }

    fn value(&self, key: &str) -> Option<Vec<u8>> {
        self.store.namespace("n").unwrap().get(key).unwrap()
    }
}

fn version(result: &Result<Committed>) -> u64 {
    result.as_ref().unwrap().version.unwrap()
}

fn code(result: &Result<Committed>) -> Code {
    result.as_ref().unwrap_err().code()
}

#[test]
fn writes_of_different_keys_share_a_commit() {
    let fixture = fixture();
    let results =
        fixture.together(&[Change::Set("a", 1), Change::Set("b", 2), Change::Set("c", 3)]);
    assert_eq!(version(&results[0]), version(&results[2]));
    assert_eq!(fixture.value("b"), Some(vec![2]));
}

#[test]
fn two_writes_of_one_key_have_different_versions() {
    let fixture = fixture();
    let all = [Change::Set("a", 1), Change::Set("b", 1), Change::Set("a", 2), Change::Set("b", 2)];
    let results = fixture.together(&all);
    assert!(version(&results[0]) < version(&results[2]));
    assert_eq!(version(&results[2]), version(&results[3]));
    assert_eq!(fixture.value("a"), Some(vec![2]));

    let stale = version(&results[0]);
    let results = fixture.together(&[Change::SetAt("a", stale)]);
    assert_eq!(code(&results[0]), Code::Conflict);
}

#[test]
fn an_entry_that_was_set_is_not_deleted_cleared_or_incremented_in_the_same_commit() {
    for second in [Change::Delete("a"), Change::Clear, Change::Increment("a")] {
        let fixture = fixture();
        let results = fixture.together(&[Change::Set("a", 1), second]);
        assert!(version(&results[0]) < version(&results[1]));
    }
}

#[test]
fn increments_of_one_key_share_a_commit() {
    let fixture = fixture();
    let results = fixture.together(&[Change::Increment("n"); 100]);
    assert_eq!(version(&results[0]), version(&results[99]));
    let outcome = &results[99].as_ref().unwrap().outcomes[0];
    assert_eq!(*outcome, Outcome::Incremented(100.0));
    assert_eq!(fixture.value("n"), Some(vec![100]));
}

#[test]
fn a_write_that_fails_before_it_writes_is_skipped() {
    let fixture = fixture();
    let results =
        fixture.together(&[Change::Set("a", 1), Change::SetAt("b", 77), Change::Set("c", 3)]);
    assert_eq!(code(&results[1]), Code::Conflict);
    assert_eq!(version(&results[0]), version(&results[2]));
    assert_eq!(fixture.value("b"), None);
}

#[test]
fn a_write_that_fails_half_way_leaves_nothing_behind_and_the_others_commit() {
    let fixture = fixture();
    let text = Change::Set("text", 0xa0);
    assert!(fixture.together(&[text])[0].is_ok());
    let results = fixture.together(&[
        Change::Set("a", 1),
        Change::SetThenIncrement("b", "text"),
        Change::Set("c", 3),
        Change::SetThenIncrement("d", "text"),
    ]);
    assert!(results[0].is_ok() && results[2].is_ok());
    assert_eq!((code(&results[1]), code(&results[3])), (Code::NotANumber, Code::NotANumber));
    assert_eq!(fixture.value("a"), Some(vec![1]));
    assert_eq!(fixture.value("b"), None);
    assert_eq!(fixture.value("c"), Some(vec![3]));
    assert_eq!(fixture.value("d"), None);
}

#[test]
fn the_writes_of_150_namespaces_take_two_commits() {
    struct Named(String);
    impl Write for Named {
        fn batch(&self) -> Result<Batch<'_>> {
            let mut batch = Batch::new();
            let n = batch.namespace(&self.0)?;
            batch.set(n, "k", &[1], Ttl::Never, None)?;
            Ok(batch)
        }
    }
    let fixture = fixture();
    let brake = fixture.brake();
    let (answer, answers) = channel();
    for number in 0..150 {
        let answer = answer.clone();
        let done = Box::new(move |result| answer.send(version(&result)).unwrap());
        fixture.store.submit(1, Box::new(Named(number.to_string())), done).unwrap();
    }
    drop(brake);
    let versions: std::collections::BTreeSet<u64> = answers.iter().take(150).collect();
    assert_eq!(versions.len(), 2);
    assert_eq!(fixture.store.list_namespaces("").unwrap().len(), 150);
}

#[test]
fn closing_answers_what_is_queued_first() {
    let fixture = fixture();
    let (answer, answers) = channel();
    for number in 0..100 {
        let answer = answer.clone();
        let done = Box::new(move |result: Result<_>| answer.send(result.is_ok()).unwrap());
        fixture.store.submit(1, Box::new(Change::Set("a", number)), done).unwrap();
    }
    fixture.store.close();
    assert_eq!(answers.try_iter().filter(|is_ok| *is_ok).count(), 100);
    let result = fixture.store.submit(1, Box::new(Change::Clear), Box::new(|_| ()));
    assert_eq!(result.unwrap_err().code(), Code::Closed);
}

#[test]
fn a_write_that_panics_is_answered_and_the_thread_goes_on() {
    struct Bug;
    impl Write for Bug {
        fn batch(&self) -> Result<Batch<'_>> {
            panic!("a test");
        }
    }
    let fixture = fixture();
    let (answer, answers) = channel();
    for write in [Box::new(Bug) as Box<dyn Write>, Box::new(Change::Set("a", 1))] {
        let answer = answer.clone();
        let done = Box::new(move |result| answer.send(result).unwrap());
        fixture.store.submit(1, write, done).unwrap();
    }
    // The second may have been in the group of the first: then nobody can say what became of it.
    assert_eq!(code(&answers.recv().unwrap()), Code::Io);
    answers.recv().unwrap().ok();
    fixture.store.submit(1, Box::new(Change::Set("a", 2)), Box::new(|_| ())).unwrap();
    fixture.store.flush().unwrap();
    assert_eq!(fixture.value("a"), Some(vec![2]));
    fixture.store.close();
}
