//! The thread that releases idle snapshots, frees the slots of killed readers, and removes
//! expired entries. It sleeps without a timer while the store is not in use.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::limits::SNAPSHOT_KEPT_MS;
use crate::shared::Shared;

/// Ticks without a snapshot before the thread sleeps.
const IDLE_TICKS: u32 = 20;
/// Ticks between two sweeps of expired entries: one second.
const SWEEP_TICKS: u32 = 1_000 / SNAPSHOT_KEPT_MS as u32;
/// Ticks between two looks for killed readers.
const STALE_READER_TICKS: u32 = 10 * SWEEP_TICKS;

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

    /// Waits until somebody rings, or for a tick if the thread is not to sleep. Returns false
    /// when it is time to end.
    fn wait(&self) -> bool {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.asleep.load(Ordering::SeqCst) {
            let tick = Duration::from_millis(SNAPSHOT_KEPT_MS);
            stopped = match self.rung.wait_timeout(stopped, tick) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
        while self.asleep.load(Ordering::SeqCst) && !*stopped {
            stopped = self.rung.wait(stopped).unwrap_or_else(PoisonError::into_inner);
        }
        !*stopped
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
    let (mut ticks, mut idle_ticks) = (0_u32, 0_u32);
    while alarm.wait() {
        let Some(store) = store.upgrade() else { return };
        ticks = ticks.wrapping_add(1);
        let swept = ticks.is_multiple_of(SWEEP_TICKS) && store.sweep();
        if ticks.is_multiple_of(STALE_READER_TICKS) {
            store.clear_stale_readers();
        }
        idle_ticks = if store.tick_readers() || swept { 0 } else { idle_ticks + 1 };
        if idle_ticks >= IDLE_TICKS {
            alarm.fall_asleep();
            // A snapshot that began just before the announcement did not ring: look once more.
            if store.tick_readers() {
                alarm.ring();
            }
        }
    }
}
