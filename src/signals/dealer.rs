//! The waiting thread: it deals the history out to subscriptions.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Registry;
use crate::changes::{self, Position};
use crate::environment::{Environment, ReadTxn};
use crate::error::{Error, Result};
use crate::expiry::{first_due_ms, now_ms};
use crate::reader::Reader;
use crate::shared::{Shared, lock};

/// The longest wait. A process that is killed between its commit and its wake-up wakes nobody,
/// and another one's clock may be set.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// How long to wait for a sweep that was asked for before asking again.
const SWEEP_WAIT: Duration = Duration::from_millis(100);
/// How long the thread outlives the last subscription.
const LINGER: Duration = Duration::from_secs(1);

/// Starts the thread. The caller has locked the registry, and notes that it runs.
pub(super) fn start(shared: &Arc<Shared>, reader: Arc<Reader>) -> Result<()> {
    let its_shared = Arc::clone(shared);
    let thread = std::thread::Builder::new()
        .name("commonhold-signals".into())
        .spawn(move || run(&its_shared, &reader))
        .map_err(|error| Error::io("could not start a thread", error))?;
    // One that ran before has ended: it said so under the registry's lock.
    *lock(&shared.signals.thread) = Some(thread);
    Ok(())
}

fn run(shared: &Shared, reader: &Reader) {
    let mut without_subscriptions: Option<Instant> = None;
    loop {
        let ticket = shared.wake.announce();
        let wait = deal_out(shared, reader).unwrap_or_else(|_| {
            // Whoever waits reads for itself, and meets the error.
            tell_all(shared);
            LONGEST_WAIT
        });
        let mut registry = lock(&shared.signals.registry);
        if registry.is_shut_down {
            return;
        }
        if registry.entries.is_empty() {
            let since = *without_subscriptions.get_or_insert_with(Instant::now);
            if since.elapsed() >= LINGER {
                registry.is_running = false;
                return;
            }
        } else {
            without_subscriptions = None;
        }
        let seen = registry.seen;
        drop(registry);
        shared.wake.wait(ticket, Some(wait), || has_news(shared, reader, seen));
    }
}

fn tell_all(shared: &Shared) {
    let mut registry = lock(&shared.signals.registry);
    let mut told = Vec::new();
    registry.deal_to_all(&mut told);
    registry.tell(&told);
}

fn has_news(shared: &Shared, reader: &Reader, seen: u64) -> bool {
    let newest = shared.read_once(reader, |environment, txn| Ok(environment.version_of(txn.id())));
    newest.map_or(true, |newest| newest > seen)
}

/// Deals out what is new in the history. Returns how long to wait at most.
fn deal_out(shared: &Shared, reader: &Reader) -> Result<Duration> {
    let mut told = Vec::new();
    let due_ms = shared.read_once(reader, |environment, txn| {
        let mut registry = lock(&shared.signals.registry);
        let dealt = deal_history(environment, txn, &mut registry, &mut told);
        if dealt.is_err() {
            // What is damaged cannot be dealt out: everybody looks, and meets the error.
            registry.deal_to_all(&mut told);
        }
        registry.tell(&told);
        dealt?;
        if registry.entries.is_empty() { Ok(None) } else { first_due_ms(&environment.expiry, txn) }
    })?;
    let Some(due_ms) = due_ms else { return Ok(LONGEST_WAIT) };
    let left = Duration::from_millis(due_ms.saturating_sub(now_ms()));
    // Who waits is to be told of its removal.
    if left.is_zero() && shared.sweep_soon() {
        return Ok(SWEEP_WAIT);
    }
    Ok(if left.is_zero() { LONGEST_WAIT } else { left.min(LONGEST_WAIT) })
}

fn deal_history(
    environment: &Environment,
    txn: &ReadTxn,
    registry: &mut Registry,
    told: &mut Vec<u64>,
) -> Result<()> {
    let newest = environment.version_of(txn.id());
    let from = registry.seen;
    if newest == from {
        return Ok(());
    }
    registry.seen = newest;
    if registry.entries.is_empty() {
        return Ok(());
    }
    if changes::floor(&environment.changes, txn)? > from {
        registry.deal_to_all(told);
        return Ok(());
    }
    let mut ids = Vec::new();
    changes::visit(&environment.changes, txn, Position::after(from), |change| {
        ids.clear();
        registry.interests.find(&change, &mut ids);
        registry.deal(change.position.version, &ids, told);
        true
    })
}
