//! Signals: who waits for which changes, and the thread that tells them.
//!
//! Each store that somebody watches in this process has one waiting thread. A commit of any
//! process wakes it (wake.rs); it (signals/dealer.rs) reads the new part of the history once, finds the subscriptions
//! that it matters to, and pushes their ids to the channel of the thread that made them. It ends
//! a second after the last subscription has gone.

mod dealer;
mod interests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

pub use self::interests::Interest;
use self::interests::Interests;
use crate::channel::Channel;
use crate::error::{Error, Result};
use crate::shared::{Shared, lock};
use crate::store::{Session, Store};

/// An interest in changes. Dropping it ends it.
pub struct Subscription {
    shared: Arc<Shared>,
    id: u64,
}

impl Subscription {
    /// The id that its channel will carry; unique in the process.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// From now on the next commit that matters leaves the id in the channel, once. What was
    /// committed before is visible to a read that begins after this call.
    pub fn arm(&self) {
        let mut registry = lock(&self.shared.signals.registry);
        let seen = registry.seen;
        match registry.entries.get_mut(&self.id) {
            Some(entry) if !entry.is_closed => entry.armed_after = Some(seen),
            _ => registry.tell(&[self.id]),
        }
    }

    /// As [`Subscription::arm`], for a reader that has read the history up to `version`. Returns
    /// false if changes since then may have been dealt out already: then it must read on.
    pub(crate) fn arm_after(&self, version: u64) -> Result<bool> {
        let mut registry = lock(&self.shared.signals.registry);
        let is_ahead = registry.seen > version;
        let entry = registry.entries.get_mut(&self.id).filter(|entry| !entry.is_closed);
        let entry = entry.ok_or(Error::Closed)?;
        if !is_ahead {
            entry.armed_after = Some(version);
        }
        Ok(!is_ahead)
    }

    /// Ends the wait, if it is armed or has ended, and returns a version up to which nothing
    /// happened that matters.
    pub(crate) fn disarm(&self) -> Option<u64> {
        let mut registry = lock(&self.shared.signals.registry);
        let seen = registry.seen;
        let entry = registry.entries.get_mut(&self.id)?;
        let nothing_before = entry.first_match.take().map(|version| version - 1);
        nothing_before.or(entry.armed_after.take().map(|after| after.max(seen)))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut registry = lock(&self.shared.signals.registry);
        if let Some(entry) = registry.entries.remove(&self.id) {
            registry.interests.remove(&entry.interest, self.id);
        }
    }
}

struct Entry {
    interest: Interest,
    channel: Arc<Channel>,
    /// Waits for a change of a later version than this.
    armed_after: Option<u64>,
    /// The version that ended the wait.
    first_match: Option<u64>,
    /// The handle that subscribed, by its address.
    session: usize,
    /// Whether that handle was closed.
    is_closed: bool,
}

/// The subscriptions of a store in this process.
#[derive(Default)]
pub(crate) struct Signals {
    registry: Mutex<Registry>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Registry {
    /// The version up to which the history has been dealt out.
    seen: u64,
    is_running: bool,
    is_shut_down: bool,
    entries: HashMap<u64, Entry>,
    interests: Interests,
}

impl Registry {
    /// Ends the waits that a change of this version is for, and notes whom to tell.
    fn deal(&mut self, version: u64, ids: &[u64], told: &mut Vec<u64>) {
        for id in ids {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            if entry.armed_after.is_some_and(|after| version > after) {
                entry.armed_after = None;
                entry.first_match = Some(version);
                told.push(*id);
            }
        }
    }

    /// Ends the waits of a handle, for good; of all handles if there is none.
    fn close(&mut self, session: Option<usize>) {
        let mut told = Vec::new();
        for (id, entry) in &mut self.entries {
            if session.is_none_or(|session| session == entry.session) {
                entry.is_closed = true;
                if entry.armed_after.take().is_some() {
                    told.push(*id);
                }
            }
        }
        self.tell(&told);
    }

    /// Ends every wait: what happened cannot be told from the history.
    fn deal_to_all(&mut self, told: &mut Vec<u64>) {
        for (id, entry) in &mut self.entries {
            if let Some(after) = entry.armed_after.take() {
                entry.first_match = Some(after + 1);
                told.push(*id);
            }
        }
    }

    fn tell(&self, ids: &[u64]) {
        let mut by_channel: Vec<(&Arc<Channel>, Vec<u64>)> = Vec::new();
        for id in ids {
            let Some(entry) = self.entries.get(id) else { continue };
            match by_channel.iter_mut().find(|(channel, _)| Arc::ptr_eq(channel, &entry.channel)) {
                Some((_, ids)) => ids.push(*id),
                None => by_channel.push((&entry.channel, vec![*id])),
            }
        }
        for (channel, ids) in by_channel {
            channel.leave(ids);
        }
    }
}

impl Signals {
    /// Wakes everybody who waits, and ends the thread. Later waits end at once.
    pub fn shut_down(&self, shared: &Shared) {
        {
            let mut registry = lock(&self.registry);
            registry.is_shut_down = true;
            registry.close(None);
        }
        shared.wake.interrupt();
        if let Some(thread) = lock(&self.thread).take() {
            // The thread has nothing to report; a panic in it must not spread into a close.
            let _ = thread.join();
        }
    }

    /// Ends the waits of a handle that is being closed.
    pub fn close_session(&self, session: &Session) {
        lock(&self.registry).close(Some(address(session)));
    }
}

impl Store {
    /// Subscribes to changes. Nothing is told before [`Subscription::arm`].
    pub fn subscribe(&self, interest: Interest, channel: Arc<Channel>) -> Result<Subscription> {
        interest.check()?;
        self.session.subscribe(interest, channel)
    }
}

impl Session {
    pub(crate) fn subscribe(
        &self,
        interest: Interest,
        channel: Arc<Channel>,
    ) -> Result<Subscription> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        self.check_open()?;
        let version = self.version()?;
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let mut registry = self.registry_with_thread(version)?;
        registry.interests.add(&interest, id);
        let (armed_after, first_match, is_closed) = (None, None, false);
        let session = address(self);
        let entry = Entry { interest, channel, armed_after, first_match, session, is_closed };
        registry.entries.insert(id, entry);
        drop(registry);
        Ok(Subscription { shared: Arc::clone(&self.shared), id })
    }

    /// The registry, locked, with a thread that deals out what is later than `version`.
    fn registry_with_thread(&self, version: u64) -> Result<MutexGuard<'_, Registry>> {
        let shared = &self.shared;
        let mut reader = None;
        loop {
            let mut registry = lock(&shared.signals.registry);
            if registry.is_shut_down {
                return Err(Error::Closed);
            }
            if registry.is_running {
                return Ok(registry);
            }
            if let Some(reader) = reader.take() {
                registry.seen = version;
                dealer::start(shared, reader)?;
                registry.is_running = true;
                return Ok(registry);
            }
            drop(registry);
            // Without the registry's lock: this takes locks that come before that one.
            reader = Some(shared.new_reader()?);
        }
    }

    /// The version of the newest commit.
    pub(crate) fn version(&self) -> Result<u64> {
        self.with_snapshot(|environment, txn| Ok(environment.version_of(txn.id())))
    }
}

/// What tells a handle from others as long as it is there.
fn address(session: &Session) -> usize {
    std::ptr::from_ref(session).addr()
}
