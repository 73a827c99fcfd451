//! Renews the leases of tasks while a worker's code runs, from a thread, so that code which
//! blocks its own thread keeps its lease.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::apply::{Step, Token};
use crate::batch::{Batch, Outcome};
use crate::commit::Work;
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::limits::MIN_RENEWAL_INTERVAL_MS;
use crate::shared::{Shared, lock};
use crate::store::Session;

/// A lease is renewed when so much of it has passed.
const RENEWALS_PER_LEASE: u64 = 3;
/// How long a renewal waits for other writers before it looks whether it is still wanted, and
/// tries again. A store that closes waits for it.
const PATIENCE: Duration = Duration::from_secs(1);
/// The agent of renewals. They leave no trace of it.
const RENEWER: &str = "commonhold";

/// The leases that are held, and the thread that renews them.
#[derive(Default)]
pub(crate) struct Renewals {
    table: Arc<Table>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Table {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    held: HashMap<u64, Held>,
    next_number: u64,
    is_stopped: bool,
}

/// A lease that is renewed.
#[derive(Clone)]
struct Held {
    /// Whether the store's handle was closed.
    closed: Arc<AtomicBool>,
    queue: Box<str>,
    id: Box<str>,
    created: u64,
    attempt: u64,
    lease_ms: u64,
    due: Instant,
}

/// Keeps a lease until it is dropped.
pub struct Hold {
    table: Arc<Table>,
    number: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        lock(&self.table.state).held.remove(&self.number);
    }
}

impl Held {
    fn token(&self) -> Token<'_> {
        Token { id: &self.id, created: self.created, attempt: self.attempt }
    }

    fn interval(&self) -> Duration {
        Duration::from_millis((self.lease_ms / RENEWALS_PER_LEASE).max(MIN_RENEWAL_INTERVAL_MS))
    }
}

impl Renewals {
    /// Renews a lease from now on.
    pub fn hold(session: &Arc<Session>, queue: &str, token: Token, lease_ms: u64) -> Result<Hold> {
        let renewals = &session.shared.renewals;
        let table = Arc::clone(&renewals.table);
        let mut held = Held {
            closed: Arc::clone(&session.closed),
            queue: queue.into(),
            id: token.id.into(),
            created: token.created,
            attempt: token.attempt,
            lease_ms,
            due: Instant::now(),
        };
        held.due += held.interval();
        renewals.start(Arc::downgrade(&session.shared))?;
        let number = {
            let mut state = lock(&table.state);
            if state.is_stopped {
                return Err(Error::Closed);
            }
            state.next_number += 1;
            let number = state.next_number;
            state.held.insert(number, held);
            number
        };
        table.changed.notify_one();
        Ok(Hold { table, number })
    }

    /// Starts the thread if it does not run yet.
    fn start(&self, store: Weak<Shared>) -> Result<()> {
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let table = Arc::clone(&self.table);
            let started = std::thread::Builder::new()
                .name("commonhold-renewal".into())
                .spawn(move || table.run(&store))
                .map_err(|error| Error::io("could not start a thread", error))?;
            *thread = Some(started);
        }
        Ok(())
    }

    /// Ends the thread. The caller holds no lock that a commit takes.
    pub fn stop(&self) {
        lock(&self.table.state).is_stopped = true;
        self.table.changed.notify_one();
        if let Some(thread) = lock(&self.thread).take() {
            // The thread has nothing to report; a panic in it must not spread into a close.
            let _ = thread.join();
        }
    }
}

impl Table {
    fn run(&self, store: &Weak<Shared>) {
        let mut state = lock(&self.state);
        while !state.is_stopped {
            let now = Instant::now();
            let Some(first) = state.held.values().map(|held| held.due).min() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            if first > now {
                state = match self.changed.wait_timeout(state, first - now) {
                    Ok((state, _)) => state,
                    Err(poisoned) => poisoned.into_inner().0,
                };
                continue;
            }
            // Those that are half due share the commit.
            let due: Vec<(u64, Held)> = state
                .held
                .iter()
                .filter(|(_, held)| held.due <= now + held.interval() / 2)
                .map(|(number, held)| (*number, held.clone()))
                .collect();
            drop(state);
            let Renewed { lost, is_busy } = match store.upgrade() {
                Some(store) => renew(&store, &due),
                None => return,
            };
            state = lock(&self.state);
            for (number, held) in due {
                if lost.contains(&number) {
                    state.held.remove(&number);
                } else if let Some(entry) = state.held.get_mut(&number) {
                    entry.due = if is_busy { now } else { now + held.interval() };
                }
            }
        }
    }
}

/// What became of leases that were due.
struct Renewed {
    lost: Vec<u64>,
    /// Whether another process kept this one from writing.
    is_busy: bool,
}

/// Renews leases in one commit.
fn renew(store: &Shared, due: &[(u64, Held)]) -> Renewed {
    let (gone, open): (Vec<_>, Vec<_>) =
        due.iter().partition(|(_, held)| held.closed.load(Ordering::Acquire));
    let mut lost: Vec<u64> = gone.iter().map(|(number, _)| *number).collect();
    match keep(store, &open) {
        Ok(kept) => {
            lost.extend(lost_of(&open, &kept));
            return Renewed { lost, is_busy: false };
        }
        Err(Error::Busy { .. }) => return Renewed { lost, is_busy: true },
        Err(_) => {}
    }
    // One damaged task must not end the leases of all others. What fails alone is tried again a
    // third of the lease later; if it fails for good the lease runs out, and the worker learns it
    // from its next step.
    for one in open.chunks(1) {
        if let Ok(kept) = keep(store, one) {
            lost.extend(lost_of(one, &kept));
        }
    }
    Renewed { lost, is_busy: false }
}

fn lost_of(due: &[&(u64, Held)], kept: &[bool]) -> Vec<u64> {
    due.iter().zip(kept).filter(|(_, kept)| !**kept).map(|((number, _), _)| *number).collect()
}

/// For each lease whether it is still held.
fn keep(store: &Shared, due: &[&(u64, Held)]) -> Result<Vec<bool>> {
    let mut batch = Batch::new();
    for (_, held) in due {
        let step = Step::Keep { token: held.token(), lease_ms: held.lease_ms };
        batch.step(&held.queue, step)?;
    }
    let deadline = Deadline::after(PATIENCE);
    let durability = store.own_durability();
    let committed = store.commit(&deadline, Work { agent: RENEWER, batch: &batch, durability })?;
    Ok(committed.outcomes.iter().map(|outcome| *outcome == Outcome::Kept(true)).collect())
}
