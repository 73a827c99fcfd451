//! Waiting where there is no futex over processes: a look at the store every millisecond, less
//! often the longer nothing comes.

use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Ticket;
use crate::error::Result;

const FIRST_INTERVAL: Duration = Duration::from_millis(1);
const LONGEST_INTERVAL: Duration = Duration::from_millis(8);
/// Looks at the first interval before it begins to grow.
const EAGER_LOOKS: u32 = 256;

#[derive(Default)]
pub(super) struct Poll {
    /// Grows with each commit of this process and each interruption.
    sequence: Mutex<u32>,
    changed: Condvar,
}

impl Poll {
    #[allow(clippy::unnecessary_wraps)] // the signature of the other ways of waiting
    pub fn open(_: &Path) -> Result<Poll> {
        Ok(Poll::default())
    }

    pub fn notify(&self) {
        self.interrupt();
    }

    pub fn announce(&self) -> Ticket {
        Ticket(*self.sequence.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn wait(&self, ticket: Ticket, timeout: Option<Duration>, has_news: impl Fn() -> bool) {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut interval = FIRST_INTERVAL;
        for look in 0_u32.. {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if has_news() || left.is_some_and(|left| left.is_zero()) {
                return;
            }
            if look > EAGER_LOOKS {
                interval = (interval * 2).min(LONGEST_INTERVAL);
            }
            let sequence = self.sequence.lock().unwrap_or_else(PoisonError::into_inner);
            let pause = left.map_or(interval, |left| left.min(interval));
            let waited = self.changed.wait_timeout_while(sequence, pause, |now| *now == ticket.0);
            let (sequence, _) = waited.unwrap_or_else(PoisonError::into_inner);
            if *sequence != ticket.0 {
                return;
            }
        }
    }

    #[allow(clippy::unused_self)] // the signature of the other ways of waiting
    #[cfg_attr(test, allow(dead_code))]
    pub fn unsynced_word(&self) -> Option<&AtomicU32> {
        None
    }

    pub fn interrupt(&self) {
        let mut sequence = self.sequence.lock().unwrap_or_else(PoisonError::into_inner);
        *sequence = sequence.wrapping_add(1);
        self.changed.notify_all();
    }
}
