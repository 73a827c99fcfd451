//! Until when a call waits for other writers.

use std::time::{Duration, Instant};

/// The end of a call's patience, and how much it had.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    patience: Duration,
}

impl Deadline {
    /// So long after now.
    pub fn after(patience: Duration) -> Deadline {
        Deadline::since(Instant::now(), patience)
    }

    /// So long after a moment.
    pub fn since(moment: Instant, patience: Duration) -> Deadline {
        // A day is for ever to a writer; what an `Instant` cannot express is longer.
        let at = moment.checked_add(patience).unwrap_or(moment + Duration::from_secs(86_400));
        Deadline { at, patience }
    }

    /// The time that is left, or `None` when it is over.
    pub fn left(&self) -> Option<Duration> {
        Some(self.at.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// How long the whole wait may be, in milliseconds.
    pub fn patience_ms(&self) -> u64 {
        u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX)
    }
}
