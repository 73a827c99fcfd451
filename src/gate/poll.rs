//! Waiting at the gate where there is no futex over processes: a try every millisecond, sooner at
//! first.

use std::fs::File;
use std::time::Duration;

use crate::deadline::Deadline;
use crate::error::Result;

const FIRST_SLEEP: Duration = Duration::from_micros(20);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// The waiting line, which has no order here.
pub(super) struct Line;

impl Line {
    #[allow(clippy::unnecessary_wraps)] // the signature of the other way of waiting
    pub fn open(_: &File) -> std::io::Result<Line> {
        Ok(Line)
    }

    /// Waits until `try_lock` has locked; false when the time is over.
    #[allow(clippy::unused_self)] // as above, here and below
    pub fn wait(&self, deadline: &Deadline, try_lock: impl Fn() -> Result<bool>) -> Result<bool> {
        let mut sleep = FIRST_SLEEP;
        while !try_lock()? {
            let Some(left) = deadline.left() else { return Ok(false) };
            std::thread::sleep(sleep.min(left));
            sleep = (sleep * 2).min(LONGEST_SLEEP);
        }
        Ok(true)
    }

    #[allow(clippy::unused_self)]
    pub fn enter(&self) {}

    #[allow(clippy::unused_self)]
    pub fn leave(&self) {}

    #[allow(clippy::unused_self)]
    pub fn wake(&self) {}

    #[allow(clippy::unused_self)]
    pub fn holder(&self) -> Option<u32> {
        None
    }
}
