//! The thread that releases idle snapshots, frees the slots of killed readers, and removes
//! expired entries. It sleeps without a timer while the store is not in use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::commit::Swept;
use crate::limits::SNAPSHOT_KEPT_MS;
use crate::shared::Shared;

/// Ticks without a snapshot before the thread sleeps.
const IDLE_TICKS: u32 = 20;
/// How long after an expiring entry was written, or after nothing was due, the next look comes.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// How long between two looks for killed readers.
const STALE_READERS_INTERVAL: Duration = Duration::from_secs(10);
/// The longest sleep while an entry will expire: the system's clock may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// Wakes the maintenance thread.
#[derive(Default)]
pub(crate) struct Alarm {
    asleep: AtomicBool,
    stopped: Mutex<bool>,
    rung: Condvar,
}

impl Alarm {
    /// Wakes the thread if it sleeps; otherwise one load.
    pub fn ring(&self) {
        if self.asleep.load(Ordering::SeqCst) {
            let _stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
            self.asleep.store(false, Ordering::SeqCst);
            self.rung.notify_one();
        }
    }

    fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.rung.notify_one();
    }

    /// Announces that the thread is about to sleep: whoever begins a snapshot from now on rings.
    fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
    }

    /// Waits for a tick; or if the thread sleeps until somebody rings, or until `wake_at`. Returns
    /// false when it is time to end.
    fn wait(&self, wake_at: Option<Instant>) -> bool {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.asleep.load(Ordering::SeqCst) && !*stopped {
            let tick = Duration::from_millis(SNAPSHOT_KEPT_MS);
            stopped = self.wait_timeout(stopped, tick);
        }
        while self.asleep.load(Ordering::SeqCst) && !*stopped {
            let Some(wake_at) = wake_at else {
                stopped = self.rung.wait(stopped).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = wake_at.saturating_duration_since(Instant::now());
            if left.is_zero() {
                self.asleep.store(false, Ordering::SeqCst);
            } else {
                stopped = self.wait_timeout(stopped, left);
            }
        }
        !*stopped
    }

    fn wait_timeout<'a>(
        &self,
        stopped: MutexGuard<'a, bool>,
        timeout: Duration,
    ) -> MutexGuard<'a, bool> {
        match self.rung.wait_timeout(stopped, timeout) {
            Ok((guard, _)) => guard,
            Err(poisoned) => poisoned.into_inner().0,
        }
    }
}

/// The running thread; it ends when this is dropped.
pub(crate) struct Maintenance {
    alarm: Arc<Alarm>,
    thread: Option<JoinHandle<()>>,
}

impl Maintenance {
    /// Starts the thread. It does not keep the store open.
    pub fn start(alarm: Arc<Alarm>, store: Weak<Shared>) -> std::io::Result<Maintenance> {
        let its_alarm = Arc::clone(&alarm);
        let thread = std::thread::Builder::new()
            .name("commonhold-maintenance".into())
            .spawn(move || run(&its_alarm, &store))?;
        Ok(Maintenance { alarm, thread: Some(thread) })
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.alarm.stop();
        if let Some(thread) = self.thread.take() {
            // The thread has nothing to report; a panic in it must not spread into a close.
            let _ = thread.join();
        }
    }
}

fn run(alarm: &Alarm, store: &Weak<Shared>) {
    let mut idle_ticks = 0_u32;
    let mut sweep_at: Option<Instant> = None;
    let mut stale_readers_at = Instant::now() + STALE_READERS_INTERVAL;
    while alarm.wait(sweep_at) {
        let Some(store) = store.upgrade() else { return };
        let now = Instant::now();
        if store.owes_sweep.swap(false, Ordering::Relaxed) {
            let soon = now + SWEEP_INTERVAL;
            sweep_at = Some(sweep_at.map_or(soon, |at| at.min(soon)));
        }
        if store.owes_sweep_now.swap(false, Ordering::Relaxed) {
            sweep_at = Some(now);
        }
        if sweep_at.is_some_and(|at| at <= now) {
            sweep_at = next_sweep(store.sweep());
        }
        if stale_readers_at <= now {
            store.clear_stale_readers();
            stale_readers_at = now + STALE_READERS_INTERVAL;
        }
        idle_ticks = if store.tick_readers() { 0 } else { idle_ticks + 1 };
        if idle_ticks >= IDLE_TICKS {
            alarm.fall_asleep();
            // What began just before the announcement did not ring: look once more.
            let owes = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
            if store.tick_readers() || owes(&store.owes_sweep) || owes(&store.owes_sweep_now) {
                alarm.ring();
            }
        }
    }
}

/// When to sweep again.
fn next_sweep(swept: Swept) -> Option<Instant> {
    let now = Instant::now();
    match swept {
        Swept::Nothing => None,
        Swept::Some => Some(now),
        Swept::Later(in_ms) => {
            Some(now + Duration::from_millis(in_ms).clamp(SWEEP_INTERVAL, LONGEST_SLEEP))
        }
    }
}
