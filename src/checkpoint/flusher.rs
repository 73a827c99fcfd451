//! The thread that brings unsynced commits to the disk: one per process, while it has a pin.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::shared::{Shared, lock};

/// The longest time between two looks at what is unsynced, and at how old the pin is.
pub(super) const LONGEST_TICK: Duration = Duration::from_millis(20);

/// The thread, while there is one.
#[derive(Default)]
pub(super) struct Flusher {
    state: Arc<(Mutex<State>, Condvar)>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    is_running: bool,
    is_stopped: bool,
    is_hurried: bool,
}

impl Flusher {
    /// Starts the thread unless it runs. The store is active from before this call. The thread does
    /// not keep the store open.
    pub fn start(&self, store: Weak<Shared>) -> std::io::Result<()> {
        let mut state = lock(&self.state.0);
        if state.is_running || state.is_stopped {
            return Ok(());
        }
        let shared = Arc::clone(&self.state);
        let thread = std::thread::Builder::new()
            .name("commonhold-flusher".into())
            .spawn(move || run(&shared, &store))?;
        state.is_running = true;
        // One that ended before has nothing left to do.
        *lock(&self.thread) = Some(thread);
        Ok(())
    }

    /// Has the thread look at once.
    pub fn hurry(&self) {
        lock(&self.state.0).is_hurried = true;
        self.state.1.notify_all();
    }

    /// Ends the thread. The caller holds no lock that a checkpoint takes.
    pub fn stop(&self) {
        lock(&self.state.0).is_stopped = true;
        self.state.1.notify_all();
        if let Some(thread) = lock(&self.thread).take()
            && thread.thread().id() != std::thread::current().id()
        {
            // The thread has nothing to report; a panic in it must not spread into a close.
            let _ = thread.join();
        }
    }

    /// Lets the thread start again, where a store could not be closed.
    pub fn resume(&self) {
        let mut state = lock(&self.state.0);
        (state.is_stopped, state.is_running) = (false, false);
    }
}

fn run((state, changed): &(Mutex<State>, Condvar), store: &Weak<Shared>) {
    let mut tick = Duration::ZERO;
    loop {
        let mut guard = lock(state);
        if !guard.is_stopped && !guard.is_hurried {
            let waited = changed.wait_timeout(guard, tick);
            guard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        guard.is_hurried = false;
        let store = store.upgrade().filter(|_| !guard.is_stopped);
        let Some(store) = store.filter(|store| store.checkpoints.is_active()) else {
            // Whoever activates the store from now on finds no thread running.
            guard.is_running = false;
            return;
        };
        drop(guard);
        tick = store.checkpoints.interval().min(LONGEST_TICK);
        store.tick_checkpoints(tick);
    }
}
