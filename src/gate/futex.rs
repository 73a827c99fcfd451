//! Waiting at the gate on Linux: a futex in writer.lock, which all processes map.
//!
//! | bytes    | content                                                          |
//! |----------|------------------------------------------------------------------|
//! | 0..8     | `chwrite1`                                                       |
//! | 64..68   | the sequence: grows with each wake-up; the futex                 |
//! | 128..132 | 1 while somebody waits, or has waited since the last wake-up     |
//! | 192..196 | pid of the process in the gate, 0 where there is none            |
//! | 196..200 | how often the gate was passed                                    |
//!
//! Only the flock says who is in the gate; all of this are hints. A waiter sets the flag, tries
//! the flock once more, and sleeps; who leaves looks at the flag and wakes one, the one that has
//! slept longest. A waiter that is woken leaves the flag set for those behind it. Whoever dies or
//! is stopped with a wake-up in its hand costs the others one `RECHECK`.

use std::fs::File;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
use std::time::{Duration, Instant};

use rustix::thread::futex::{self, Flags, Timespec};

use crate::deadline::Deadline;
use crate::error::Result;
use crate::words::Words;

const MAGIC: &[u8; 8] = b"chwrite1";
/// A cache line each; what the process in the gate writes shares one.
const SEQUENCE_AT: usize = 64;
const WAITING_AT: usize = 128;
const HOLDER_AT: usize = 192;
const PASSED_AT: usize = 196;

/// How long a waiter sleeps before it tries again without a wake-up: nobody wakes it where the
/// process in the gate was killed.
const RECHECK: Duration = Duration::from_millis(4);
/// How long a process goes on passing the gate while others wait, because it is quicker than any
/// that must be woken first. Less than a commit to a disk takes, and several in memory.
const STREAK_MICROS: u64 = 100;
/// How long it then lets the one it has woken go first, at most: that one may be stopped.
const POLITENESS: Duration = Duration::from_millis(1);

/// The waiting line. Only one thread of a process at a time is in it or in the gate.
pub(super) struct Line {
    words: Words,
    pid: u32,
    /// Counts microseconds for `streak_began`.
    epoch: Instant,
    /// Whether others come first the next time.
    steps_back: AtomicBool,
    /// `PASSED_AT` when this process was in the gate.
    passed: AtomicU32,
    /// When it first left the gate to a waiter and came in again before anybody else; 0: it has
    /// not since another process was in.
    streak_began: AtomicU64,
}

impl Line {
    pub fn open(file: &File) -> std::io::Result<Line> {
        Ok(Line {
            words: Words::open(file, MAGIC)?,
            pid: std::process::id(),
            epoch: Instant::now(),
            steps_back: AtomicBool::new(false),
            passed: AtomicU32::new(0),
            streak_began: AtomicU64::new(0),
        })
    }

    /// Waits until `try_lock` has locked; false when the time is over.
    pub fn wait(&self, deadline: &Deadline, try_lock: impl Fn() -> Result<bool>) -> Result<bool> {
        if self.steps_back.load(Ordering::Relaxed) {
            self.steps_back.store(false, Ordering::Relaxed);
            self.step_back(deadline);
        } else if try_lock()? {
            return Ok(true);
        }
        loop {
            let ticket = self.announce();
            if try_lock()? {
                return Ok(true);
            }
            let Some(left) = deadline.left() else { return Ok(false) };
            self.sleep(ticket, left.min(RECHECK));
        }
    }

    /// Goes to the end of the line, unless the one that was woken has been in already.
    fn step_back(&self, deadline: &Deadline) {
        let ticket = self.announce();
        if self.word(PASSED_AT).load(Ordering::SeqCst) == self.passed.load(Ordering::Relaxed)
            && let Some(left) = deadline.left()
        {
            self.sleep(ticket, left.min(POLITENESS));
        }
    }

    /// From here on whoever leaves the gate changes the sequence.
    fn announce(&self) -> u32 {
        let ticket = self.word(SEQUENCE_AT).load(Ordering::SeqCst);
        self.word(WAITING_AT).store(1, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        ticket
    }

    fn sleep(&self, ticket: u32, time: Duration) {
        let time = Timespec::try_from(time).ok();
        // Whatever ends the sleep, the caller tries the flock again.
        let _ = futex::wait(self.word(SEQUENCE_AT), Flags::empty(), ticket, time.as_ref());
    }

    /// The caller has the flock.
    pub fn enter(&self) {
        self.word(HOLDER_AT).store(self.pid, Ordering::Relaxed);
        let passed = self.word(PASSED_AT).load(Ordering::Relaxed);
        if passed != self.passed.load(Ordering::Relaxed) {
            self.streak_began.store(0, Ordering::Relaxed);
        }
        let passed = passed.wrapping_add(1);
        self.word(PASSED_AT).store(passed, Ordering::Relaxed);
        self.passed.store(passed, Ordering::Relaxed);
    }

    /// The caller is about to give up the flock.
    pub fn leave(&self) {
        self.word(HOLDER_AT).store(0, Ordering::Relaxed);
    }

    /// The caller has given up the flock: wakes who has waited longest.
    pub fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.word(WAITING_AT).load(Ordering::SeqCst) == 0 {
            return;
        }
        // Cleared first: who announces itself from now on is woken by the next one.
        self.word(WAITING_AT).store(0, Ordering::SeqCst);
        self.word(SEQUENCE_AT).fetch_add(1, Ordering::SeqCst);
        let woken = futex::wake(self.word(SEQUENCE_AT), Flags::empty(), 1);
        if woken.is_ok_and(|count| count > 0) && self.streak_is_over() {
            self.steps_back.store(true, Ordering::Relaxed);
        }
    }

    fn streak_is_over(&self) -> bool {
        let now = self.epoch.elapsed().as_micros() as u64 + 1;
        let began = match self.streak_began.load(Ordering::Relaxed) {
            0 => now,
            began => began,
        };
        self.streak_began.store(began, Ordering::Relaxed);
        now - began >= STREAK_MICROS
    }

    /// Pid of the process in the gate, as far as it is known.
    pub fn holder(&self) -> Option<u32> {
        Some(self.word(HOLDER_AT).load(Ordering::Relaxed)).filter(|pid| *pid != 0)
    }

    fn word(&self, at: usize) -> &AtomicU32 {
        self.words.word(at)
    }
}
