//! Watching: the current state, then every change, from a cursor in the history.
//!
//! A watcher keeps no changes: the history is its buffer, and the only thing it remembers is how
//! far it has read. It reads on when it is asked to, and the signals (signals.rs) tell when there
//! is something to read.
//!
//! The current state is told in the order of versions, as the history would tell it with
//! everything left out that was overwritten since. So a version remembered in the middle of it is
//! as good a place to resume as any other.

mod state;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use self::state::StateListing;
use crate::changes::{self, ChangeKind, Position};
use crate::channel::Channel;
use crate::error::Result;
use crate::limits::MAX_HANDLES;
use crate::namespace::Namespace;
use crate::signals::{Interest, Subscription};
use crate::store::{Session, Store};

/// Changes that are read from the history at a time.
const CHUNK_CHANGES: usize = 256;
/// What a change counts for beside its key and value.
const CHANGE_BYTES: usize = 64;

/// A change as a watcher tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedChange {
    /// What happened; `None` for a reset: changes were missed, and the current state follows.
    pub kind: Option<ChangeKind>,
    /// The namespace.
    pub namespace: Arc<str>,
    /// The key, or the prefix that was cleared.
    pub key: String,
    /// Version of the commit.
    pub version: u64,
    /// Whether the watcher tells nothing more of this commit.
    pub last: bool,
    /// What a set wrote.
    pub value: Option<Vec<u8>>,
}

/// A change whose value has not been looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    version: u64,
    namespace: Arc<str>,
    key: String,
    kind: ChangeKind,
}

enum Phase {
    /// Changes were missed.
    Reset,
    /// The state as of a version is being listed.
    State(StateListing),
    /// The history is being read.
    History,
}

/// Tells the changes of a key, a namespace or a store.
pub struct Watcher {
    session: Arc<Session>,
    subscription: Subscription,
    interest: Interest,
    phase: Phase,
    /// Where in the history to read on.
    position: Position,
    candidates: VecDeque<Candidate>,
    /// A change of which it is not known yet whether it is the last of its commit.
    held: Option<WatchedChange>,
    /// Views of the namespaces that were met.
    namespaces: HashMap<Arc<str>, Namespace>,
}

impl Store {
    /// Watches the changes that matter to `interest`: the current state first; with `since` only
    /// what came after the commit of that version.
    pub fn watch(
        &self,
        interest: Interest,
        since: Option<u64>,
        channel: Arc<Channel>,
    ) -> Result<Watcher> {
        let session = Arc::clone(&self.session);
        interest.check()?;
        let subscription = session.subscribe(interest.clone(), channel)?;
        let version = session.version()?;
        let phase = match since {
            None => Phase::State(StateListing::new(version)),
            // From beyond a restore, or of another store.
            Some(since) if since > version => Phase::Reset,
            Some(_) => Phase::History,
        };
        Ok(Watcher {
            session,
            subscription,
            interest,
            phase,
            position: Position::after(since.unwrap_or(version)),
            candidates: VecDeque::new(),
            held: None,
            namespaces: HashMap::new(),
        })
    }
}

impl Watcher {
    /// The id that the channel will carry when there is something to read.
    pub fn id(&self) -> u64 {
        self.subscription.id()
    }

    /// The next changes, until they have so many bytes. None: there are none, and the channel
    /// will tell when there are.
    pub fn read(&mut self, max_bytes: usize) -> Result<Vec<WatchedChange>> {
        self.session.check_open()?;
        if let Some(version) = self.subscription.disarm() {
            self.position = self.position.max(Position::after(version));
        }
        let mut told = Told::default();
        match self.read_into(&mut told, max_bytes) {
            // What comes before it is told first; the next call meets the error again.
            Err(_) if !told.changes.is_empty() => Ok(told.changes),
            result => result.map(|()| told.changes),
        }
    }

    fn read_into(&mut self, told: &mut Told, max_bytes: usize) -> Result<()> {
        loop {
            if let Phase::Reset = self.phase {
                self.reset(told)?;
            }
            while let Some(candidate) = self.candidates.front().cloned() {
                if self.held.as_ref().is_some_and(|held| held.version != candidate.version) {
                    self.tell_held(told, true);
                }
                let change = self.look_at(candidate)?;
                self.candidates.pop_front();
                if let Some(change) = change
                    && let Some(held) = self.held.replace(change)
                {
                    told.push(held);
                }
                if told.bytes >= max_bytes {
                    return Ok(());
                }
            }
            let read_to = match self.fill() {
                Err(_) if !self.candidates.is_empty() => continue,
                filled => filled?,
            };
            let Some(version) = read_to.filter(|_| self.candidates.is_empty()) else { continue };
            // All commits up to this version have been read whole.
            self.tell_held(told, true);
            if !told.changes.is_empty() || self.subscription.arm_after(version)? {
                return Ok(());
            }
        }
    }

    /// Tells the change that is held, and whether it is the last one of its commit.
    fn tell_held(&mut self, told: &mut Told, last: bool) {
        if let Some(held) = self.held.take() {
            told.push(WatchedChange { last, ..held });
        }
    }

    /// Tells that changes were missed, and begins with the current state.
    fn reset(&mut self, told: &mut Told) -> Result<()> {
        let version = self.session.version()?;
        // In the middle of a commit, the rest of it is among what was missed.
        let is_whole = self.held.as_ref().is_some_and(|held| held.version < self.position.version);
        self.tell_held(told, is_whole);
        told.push(WatchedChange {
            kind: None,
            namespace: "".into(),
            key: String::new(),
            version,
            // Not a version to resume from before the state has been told.
            last: false,
            value: None,
        });
        self.candidates.clear();
        self.position = Position::after(version);
        self.phase = Phase::State(StateListing::new(version));
        Ok(())
    }

    /// Reads the next candidates. Returns the version that the history was read up to, if its end
    /// was reached.
    fn fill(&mut self) -> Result<Option<u64>> {
        match &mut self.phase {
            Phase::Reset => Ok(None),
            Phase::State(listing) => {
                if !listing.next(&self.session, &self.interest, &mut self.candidates)? {
                    self.phase = Phase::History;
                }
                Ok(None)
            }
            Phase::History => self.read_history(),
        }
    }

    fn read_history(&mut self) -> Result<Option<u64>> {
        let Watcher { session, interest, position, candidates, .. } = self;
        let (is_kept, read_to) = session.with_snapshot(|environment, txn| {
            if changes::floor(&environment.changes, txn)? >= position.version {
                return Ok((false, None));
            }
            let mut is_whole = true;
            changes::visit(&environment.changes, txn, *position, |change| {
                if candidates.len() == CHUNK_CHANGES {
                    is_whole = false;
                    return false;
                }
                *position = change.position.next();
                if interest.includes(&change) {
                    candidates.push_back(Candidate {
                        version: change.position.version,
                        namespace: shared(change.namespace, candidates.back()),
                        key: change.key.to_owned(),
                        kind: change.kind,
                    });
                }
                true
            })?;
            let newest = environment.version_of(txn.id());
            if is_whole {
                *position = Position::after(newest);
            }
            Ok((true, is_whole.then_some(newest)))
        })?;
        if !is_kept {
            self.phase = Phase::Reset;
        }
        Ok(read_to)
    }

    /// The change with its value, unless something later has replaced it: then that is told.
    fn look_at(&mut self, candidate: Candidate) -> Result<Option<WatchedChange>> {
        let Candidate { version, namespace, key, kind } = candidate;
        let mut value = None;
        if kind == ChangeKind::Set {
            let read = self.view(&namespace)?.get_entry_with(&key, |head, value| {
                (head.version == version).then(|| value.to_vec())
            })?;
            value = read.flatten();
            if value.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(WatchedChange { kind: Some(kind), namespace, key, version, last: false, value }))
    }

    fn view(&mut self, name: &Arc<str>) -> Result<&Namespace> {
        if self.namespaces.len() >= MAX_HANDLES && !self.namespaces.contains_key(name) {
            self.namespaces.clear();
        }
        match self.namespaces.entry(Arc::clone(name)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => {
                Ok(entry.insert(Namespace::new(Arc::clone(&self.session), name)?))
            }
        }
    }
}

/// Changes on their way out, and how many bytes they have.
#[derive(Default)]
struct Told {
    changes: Vec<WatchedChange>,
    bytes: usize,
}

impl Told {
    fn push(&mut self, change: WatchedChange) {
        self.bytes += change.key.len() + change.value.as_ref().map_or(0, Vec::len) + CHANGE_BYTES;
        self.changes.push(change);
    }
}

/// The name as shared text; most changes have the namespace of the one before.
fn shared(name: &str, before: Option<&Candidate>) -> Arc<str> {
    match before {
        Some(before) if &*before.namespace == name => Arc::clone(&before.namespace),
        _ => name.into(),
    }
}
