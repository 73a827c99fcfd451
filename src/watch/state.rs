//! The state as of a version, in the order of versions.

use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use super::Candidate;
use crate::catalogue::CatalogueRow;
use crate::changes::ChangeKind;
use crate::environment::lmdb_error;
use crate::error::{Error, Result};
use crate::namespace::Namespace;
use crate::range::{Range, prefix_bounds};
use crate::scan::{ScanPosition, Visit};
use crate::signals::Interest;
use crate::store::Session;

/// Bytes of keys that one pass over the entries collects at most: the memory that a listing of
/// any size takes.
const PASS_BYTES: usize = 8 * 1024 * 1024;
/// What an entry takes beside its key.
const ENTRY_BYTES: usize = 80;

/// Lists the entries that are not newer than a version, oldest first, in passes: each takes the
/// oldest ones that come after those of the pass before. What is written meanwhile is newer, and
/// comes with the history.
pub(super) struct StateListing {
    as_of: u64,
    /// The last one of the pass before.
    after: Option<Candidate>,
    is_complete: bool,
}

impl StateListing {
    pub fn new(as_of: u64) -> StateListing {
        StateListing { as_of, after: None, is_complete: false }
    }

    /// Appends the next entries; false if there are none.
    pub fn next(
        &mut self,
        session: &Arc<Session>,
        interest: &Interest,
        candidates: &mut VecDeque<Candidate>,
    ) -> Result<bool> {
        if self.is_complete {
            return Ok(false);
        }
        let mut pass =
            Pass { listing: self, oldest: BinaryHeap::new(), bytes: 0, overflown: false };
        match interest {
            Interest::Key { namespace, key } => {
                let found = Namespace::new(Arc::clone(session), namespace)?
                    .get_entry_with(key, |head, _| head.version)?;
                if let Some(version) = found {
                    pass.offer(version, &namespace.as_str().into(), key);
                }
            }
            Interest::Prefix { namespace, prefix } => pass.scan(session, namespace, prefix)?,
            Interest::Namespaces { prefix } => {
                let least = pass.listing.after.as_ref().map_or(0, |after| after.version);
                for name in changed_since(session, prefix, least)? {
                    pass.scan(session, &name, "")?;
                }
            }
            Interest::Queue { .. } => {}
        }
        let Pass { oldest, overflown, .. } = pass;
        let oldest = oldest.into_sorted_vec();
        self.is_complete = !overflown;
        self.after = oldest.last().cloned().or(self.after.take());
        candidates.extend(oldest);
        Ok(!candidates.is_empty())
    }
}

/// One look at all entries.
struct Pass<'l> {
    listing: &'l StateListing,
    /// The newest on top, to be thrown out first.
    oldest: BinaryHeap<Candidate>,
    bytes: usize,
    overflown: bool,
}

impl Pass<'_> {
    fn scan(&mut self, session: &Arc<Session>, name: &str, prefix: &str) -> Result<()> {
        let namespace = Namespace::new(Arc::clone(session), name)?;
        let range = Range { prefix: Some(prefix.to_owned()), ..Range::default() };
        let name = name.into();
        ScanPosition::new(&range).next_chunk(&namespace, |entry| {
            self.offer(entry.version(), &name, entry.key());
            Ok(Visit::Taken)
        })?;
        Ok(())
    }

    fn offer(&mut self, version: u64, namespace: &Arc<str>, key: &str) {
        if version > self.listing.as_of {
            return;
        }
        if let Some(after) = &self.listing.after
            && (version, &**namespace, key) <= (after.version, &*after.namespace, &*after.key)
        {
            return;
        }
        let is_full = self.bytes + key.len() + ENTRY_BYTES > PASS_BYTES;
        if is_full && self.oldest.peek().is_some_and(|newest| newest.version < version) {
            self.overflown = true;
            return;
        }
        let namespace = Arc::clone(namespace);
        let kind = ChangeKind::Set;
        self.oldest.push(Candidate { version, namespace, key: key.to_owned(), kind });
        self.bytes += key.len() + ENTRY_BYTES;
        while self.bytes > PASS_BYTES && self.oldest.len() > 1 {
            self.overflown = true;
            self.bytes -= self.oldest.pop().map_or(0, |newest| newest.key.len() + ENTRY_BYTES);
        }
    }
}

/// The names, beginning with `prefix`, of namespaces that changed at `version` or later: others
/// have no entry that is as new.
fn changed_since(session: &Session, prefix: &str, version: u64) -> Result<Vec<String>> {
    let bounds = prefix_bounds(prefix);
    let range = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
    session.with_snapshot(|environment, txn| {
        let failed = |error| lmdb_error("read the catalogue", error);
        let mut names = Vec::new();
        for row in environment.catalogue.range(txn, &range).map_err(failed)? {
            let (name, row) = row.map_err(failed)?;
            if CatalogueRow::decode(name, row)?.last_version >= version {
                let name = std::str::from_utf8(name)
                    .map_err(|_| Error::Corrupt("a namespace's name is not UTF-8".into()))?;
                names.push(name.to_owned());
            }
        }
        Ok(names)
    })
}
