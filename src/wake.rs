//! The wake-up: how a commit in one process wakes those who wait in others.
//!
//! One interface, one file per way of waiting. A waiter *announces* itself, looks at the store,
//! and waits only if it found nothing new; a writer *notifies* after its commit. Whichever comes
//! first, the waiter does not miss the commit. Wake-ups may come for nothing.

#[cfg(target_os = "linux")]
mod futex;
#[cfg(any(test, not(target_os = "linux")))]
mod poll;

use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use crate::error::Result;

#[cfg(target_os = "linux")]
type Backend = futex::Futex;
#[cfg(not(target_os = "linux"))]
type Backend = poll::Poll;

/// One store's wake-up.
pub(crate) struct Wake(Backend);

/// What a waiter got when it announced itself.
#[derive(Clone, Copy)]
pub(crate) struct Ticket(u32);

impl Wake {
    /// Opens the wake-up of the store in `dir`. The caller holds the lock of openers.
    pub fn open(dir: &Path) -> Result<Wake> {
        Backend::open(dir).map(Wake)
    }

    /// Wakes who waits, in this process and in others. To be called after every commit; costs one
    /// load where nobody waits.
    pub fn notify(&self) {
        self.0.notify();
    }

    /// Announces that the caller is about to wait. What is committed before this call is visible
    /// to a snapshot that begins after it; what is committed later ends the wait.
    pub fn announce(&self) -> Ticket {
        self.0.announce()
    }

    /// Waits for a commit, an interruption, or the end of `timeout`. `has_news` looks whether
    /// something was committed since the announcement; only a backend that polls asks it.
    pub fn wait(&self, ticket: Ticket, timeout: Option<Duration>, has_news: impl Fn() -> bool) {
        self.0.wait(ticket, timeout, has_news);
    }

    /// Ends the wait of this process's waiter, and perhaps those of others.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }

    /// Not 0 while commits may be unsynced (checkpoint.rs); shared by all processes. `None` where
    /// there is no such page.
    pub fn unsynced_word(&self) -> Option<&AtomicU32> {
        self.0.unsynced_word()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// The same test for each way of waiting: no commit is missed, whenever it comes.
    fn no_commit_is_missed<B: Send + Sync + 'static>(
        backend: B,
        announce: fn(&B) -> Ticket,
        wait: fn(&B, Ticket, &dyn Fn() -> bool),
        notify: fn(&B),
    ) {
        const COMMITS: u64 = 2_000;
        let backend = Arc::new(backend);
        let newest = Arc::new(AtomicU64::new(0));
        let (seen_by_waiter, seen) = mpsc::sync_channel(0);
        let waiter = {
            let (backend, newest) = (Arc::clone(&backend), Arc::clone(&newest));
            std::thread::spawn(move || {
                let mut last = 0;
                while last < COMMITS {
                    let ticket = announce(&backend);
                    let now = newest.load(Ordering::SeqCst);
                    if now == last {
                        wait(&backend, ticket, &|| newest.load(Ordering::SeqCst) != last);
                        continue;
                    }
                    last = now;
                    seen_by_waiter.send(last).unwrap();
                }
            })
        };
        for commit in 1..=COMMITS {
            newest.store(commit, Ordering::SeqCst);
            notify(&backend);
            assert_eq!(seen.recv_timeout(LONG).unwrap(), commit);
        }
        waiter.join().unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn no_commit_is_missed_with_a_futex() {
        let dir = tempfile::tempdir().unwrap();
        // Two mappings of one file, as in two processes.
        let (ours, theirs) =
            (futex::Futex::open(dir.path()).unwrap(), futex::Futex::open(dir.path()).unwrap());
        no_commit_is_missed(
            (ours, theirs),
            |(ours, _)| ours.announce(),
            |(ours, _), ticket, has_news| ours.wait(ticket, None, has_news),
            |(_, theirs)| theirs.notify(),
        );
    }

    #[test]
    fn no_commit_is_missed_by_polling() {
        let dir = tempfile::tempdir().unwrap();
        no_commit_is_missed(
            poll::Poll::open(dir.path()).unwrap(),
            poll::Poll::announce,
            |poll, ticket, has_news| poll.wait(ticket, None, has_news),
            poll::Poll::notify,
        );
    }

    #[test]
    fn an_interruption_ends_a_wait_that_has_no_news() {
        let dir = tempfile::tempdir().unwrap();
        let wake = Wake::open(dir.path()).unwrap();
        let poll = poll::Poll::open(dir.path()).unwrap();
        std::thread::scope(|scope| {
            let (ticket, poll_ticket) = (wake.announce(), poll.announce());
            let waiter = scope.spawn({
                let wake = &wake;
                move || wake.wait(ticket, Some(LONG), || false)
            });
            let polling = scope.spawn({
                let poll = &poll;
                move || poll.wait(poll_ticket, Some(LONG), || false)
            });
            wake.interrupt();
            poll.interrupt();
            waiter.join().unwrap();
            polling.join().unwrap();
        });
    }
}
