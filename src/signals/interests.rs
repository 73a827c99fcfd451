//! What a subscription is interested in, and the index that finds it for a change.

use std::collections::{HashMap, HashSet};

use crate::changes::{ChangeKind, HistoricChange};
use crate::error::Result;
use crate::names::{check_key, check_namespace};

/// Which changes matter to a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// Those of one key.
    Key {
        /// Its namespace.
        namespace: String,
        /// The key.
        key: String,
    },
    /// Those of a namespace's keys that begin with a prefix.
    Prefix {
        /// The namespace.
        namespace: String,
        /// The prefix; empty for all keys.
        prefix: String,
    },
    /// Those of all namespaces whose names begin with a prefix.
    Namespaces {
        /// The prefix; empty for all namespaces.
        prefix: String,
    },
    /// Those of a queue.
    Queue {
        /// Its name.
        name: String,
    },
}

impl Interest {
    /// Fails if there can be no such key, namespace or queue.
    pub(crate) fn check(&self) -> Result<()> {
        match self {
            Interest::Key { namespace, key } => check_namespace(namespace).and(check_key(key)),
            Interest::Prefix { namespace, .. } => check_namespace(namespace),
            Interest::Namespaces { .. } => Ok(()),
            Interest::Queue { name } => check_namespace(name),
        }
    }

    /// Whether a change matters.
    pub(crate) fn includes(&self, change: &HistoricChange) -> bool {
        let HistoricChange { kind, namespace: changed, key: changed_key, .. } = *change;
        let is_clear = kind == ChangeKind::Clear;
        match self {
            Interest::Queue { name } => kind == ChangeKind::Queue && name == changed,
            _ if kind == ChangeKind::Queue => false,
            Interest::Namespaces { prefix } => changed.starts_with(&**prefix),
            Interest::Key { namespace, key } => {
                namespace == changed
                    && if is_clear { key.starts_with(changed_key) } else { key == changed_key }
            }
            Interest::Prefix { namespace, prefix } => {
                namespace == changed
                    && (changed_key.starts_with(&**prefix)
                        || is_clear && prefix.starts_with(changed_key))
            }
        }
    }
}

/// All interests of a store: finding those of a change costs a look-up, however many there are
/// for other keys.
#[derive(Default)]
pub(super) struct Interests {
    keys: HashMap<String, HashMap<String, HashSet<u64>>>,
    /// Everything else, by namespace or queue; "" for interests in several namespaces.
    others: HashMap<String, HashMap<u64, Interest>>,
}

impl Interests {
    pub fn add(&mut self, interest: &Interest, id: u64) {
        match interest {
            Interest::Key { namespace, key } => {
                let keys = self.keys.entry(namespace.clone()).or_default();
                keys.entry(key.clone()).or_default().insert(id);
            }
            other => {
                let others = self.others.entry(place(other).to_owned()).or_default();
                others.insert(id, other.clone());
            }
        }
    }

    pub fn remove(&mut self, interest: &Interest, id: u64) {
        match interest {
            Interest::Key { namespace, key } => {
                let Some(keys) = self.keys.get_mut(namespace) else { return };
                let Some(ids) = keys.get_mut(key) else { return };
                ids.remove(&id);
                if ids.is_empty() {
                    keys.remove(key);
                }
                if keys.is_empty() {
                    self.keys.remove(namespace);
                }
            }
            other => {
                let Some(others) = self.others.get_mut(place(other)) else { return };
                others.remove(&id);
                if others.is_empty() {
                    self.others.remove(place(other));
                }
            }
        }
    }

    /// Appends the ids of those that a change matters to.
    pub fn find(&self, change: &HistoricChange, ids: &mut Vec<u64>) {
        for place in [change.namespace, ""] {
            let others = self.others.get(place).into_iter().flatten();
            ids.extend(others.filter(|(_, interest)| interest.includes(change)).map(|(id, _)| *id));
        }
        let Some(keys) = self.keys.get(change.namespace) else { return };
        match change.kind {
            ChangeKind::Queue => {}
            ChangeKind::Clear => ids.extend(
                keys.iter().filter(|(key, _)| key.starts_with(change.key)).flat_map(|(_, ids)| ids),
            ),
            _ => ids.extend(keys.get(change.key).into_iter().flatten()),
        }
    }
}

/// Where an interest that is not in one key stands in the index. No namespace and no queue has
/// the empty name.
fn place(interest: &Interest) -> &str {
    match interest {
        Interest::Key { namespace, .. } | Interest::Prefix { namespace, .. } => namespace,
        Interest::Namespaces { .. } => "",
        Interest::Queue { name } => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::changes::Position;

    fn found(interests: &Interests, kind: ChangeKind, namespace: &str, key: &str) -> Vec<u64> {
        let mut ids = Vec::new();
        let position = Position { version: 1, ordinal: 0 };
        interests.find(&HistoricChange { position, kind, namespace, key }, &mut ids);
        ids.sort_unstable();
        ids
    }

    #[test]
    fn a_change_is_found_by_exactly_those_it_matters_to() {
        let own = str::to_owned;
        let all = [
            Interest::Key { namespace: own("a"), key: own("job:1") },
            Interest::Prefix { namespace: own("a"), prefix: own("job:") },
            Interest::Prefix { namespace: own("a"), prefix: own("") },
            Interest::Namespaces { prefix: own("") },
            Interest::Namespaces { prefix: own("b") },
            Interest::Queue { name: own("a") },
        ];
        let mut interests = Interests::default();
        for (id, interest) in (0..).zip(&all) {
            interests.add(interest, id);
        }
        let found = |kind, namespace, key| found(&interests, kind, namespace, key);
        assert_eq!(found(ChangeKind::Set, "a", "job:1"), [0, 1, 2, 3]);
        assert_eq!(found(ChangeKind::Delete, "a", "job:2"), [1, 2, 3]);
        assert_eq!(found(ChangeKind::Expire, "a", "other"), [2, 3]);
        assert_eq!(found(ChangeKind::Set, "bb", "job:1"), [3, 4]);
        assert_eq!(found(ChangeKind::Queue, "a", ""), [5]);
        assert!(found(ChangeKind::Queue, "b", "").is_empty());
        assert_eq!(found(ChangeKind::Clear, "a", ""), [0, 1, 2, 3]);
        assert_eq!(found(ChangeKind::Clear, "a", "job:1"), [0, 1, 2, 3]);
        assert_eq!(found(ChangeKind::Clear, "a", "job:12"), [1, 2, 3]);
        assert_eq!(found(ChangeKind::Clear, "a", "x"), [2, 3]);
        for (id, interest) in (0..).zip(&all) {
            interests.remove(interest, id);
        }
        assert!(interests.keys.is_empty() && interests.others.is_empty());
    }
}
