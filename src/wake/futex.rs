//! Waiting on Linux: a futex in a small file that all processes map.
//!
//! | bytes    | content                                                          |
//! |----------|------------------------------------------------------------------|
//! | 0..8     | `chwake01`                                                       |
//! | 64..68   | the sequence: grows with each wake-up; the futex                 |
//! | 128..132 | 1 while somebody waits, or has waited since the last wake-up     |
//! | 512..516 | 1 while the file `checkpoint` may say that commits are unsynced  |
//!
//! A waiter sets the flag, then looks at the store; a writer commits, then looks at the flag. One
//! of the two sees the other (both are sequentially consistent). The flag is cleared by whoever
//! wakes, so that a killed waiter costs one wake-up and no more.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

use rustix::thread::futex::{self, Flags, Timespec};

use super::Ticket;
use crate::error::{Error, Result};
use crate::location::create_private_file;
use crate::shortage::{Access, Floor};
use crate::words::Words;

const MAGIC: &[u8; 8] = b"chwake01";
/// A cache line each.
const SEQUENCE_AT: usize = 64;
const WAITING_AT: usize = 128;
const UNSYNCED_AT: usize = 512;

pub(super) struct Futex {
    words: Words,
    /// Where there is one, nothing is stored while next to no room is left.
    floor: Option<Floor>,
}

impl Futex {
    pub fn open(dir: &Path) -> Result<Futex> {
        let file = create_private_file(&dir.join("wake"))?;
        let words = Words::open(&file, MAGIC)
            .map_err(|error| Error::io("could not open the wake-up file", error))?;
        Ok(Futex { words, floor: Floor::of(dir)? })
    }

    pub fn notify(&self) {
        // The commit before, the look at the flag after.
        fence(Ordering::SeqCst);
        if self.waiting().load(Ordering::SeqCst) != 0 {
            self.interrupt();
        }
    }

    pub fn announce(&self) -> Ticket {
        let ticket = Ticket(self.sequence().load(Ordering::SeqCst));
        // Where it may not be stored that somebody waits, the caller looks again in a second.
        if self.has_room() {
            self.waiting().store(1, Ordering::SeqCst);
        }
        fence(Ordering::SeqCst);
        ticket
    }

    pub fn wait(&self, ticket: Ticket, timeout: Option<Duration>, _: impl Fn() -> bool) {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // Whatever ends the wait (a wake-up, a signal, the time, a sequence that has moved), the
        // caller looks at the store again.
        let _ = futex::wait(self.sequence(), Flags::empty(), ticket.0, timeout.as_ref());
    }

    pub fn interrupt(&self) {
        // Cleared first: who announces itself from now on is woken by the next commit.
        if self.has_room() {
            self.waiting().store(0, Ordering::SeqCst);
            self.sequence().fetch_add(1, Ordering::SeqCst);
        }
        // Can only fail for a bad address.
        let _ = futex::wake(self.sequence(), Flags::empty(), i32::MAX.cast_unsigned());
    }

    fn has_room(&self) -> bool {
        self.floor.as_ref().is_none_or(|floor| floor.check(Access::Read).is_ok())
    }

    #[allow(clippy::unnecessary_wraps)] // the signature of the other ways of waiting
    pub fn unsynced_word(&self) -> Option<&AtomicU32> {
        Some(self.words.word(UNSYNCED_AT))
    }

    fn sequence(&self) -> &AtomicU32 {
        self.words.word(SEQUENCE_AT)
    }

    fn waiting(&self) -> &AtomicU32 {
        self.words.word(WAITING_AT)
    }
}
