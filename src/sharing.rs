//! What batches that share a commit may not do to one another.
//!
//! All that a commit writes has one version, and a version that somebody was told must mean one
//! state of the entry. So no batch may write an entry, or empty a namespace or queue, that an
//! earlier batch of the same commit has written; increments, which tell nobody a version, may
//! follow one another.

use std::collections::HashSet;

use crate::batch::Mutation;
use crate::error::{Error, Result};

/// The batches of a commit, as far as they have been applied.
#[derive(Default)]
pub(crate) struct Sharing<'a> {
    /// Whether there is more than one.
    is_shared: bool,
    /// The present batch's number.
    batch: usize,
    /// Its mutations before the present one.
    before: &'a [Mutation<'a>],
    /// Its namespaces by their index in the commit.
    indices: &'a [usize],
    /// Entries, by namespace and key, that were only incremented.
    incremented: HashSet<(usize, String)>,
}

impl<'a> Sharing<'a> {
    pub fn new(is_shared: bool) -> Sharing<'a> {
        Sharing { is_shared, ..Sharing::default() }
    }

    /// A batch begins.
    pub fn begin(&mut self, batch: usize, indices: &'a [usize]) {
        self.batch = batch;
        self.indices = indices;
        self.before = &[];
    }

    /// A mutation begins.
    pub fn advance(&mut self, before: &'a [Mutation<'a>]) {
        self.before = before;
    }

    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// The present batch's number.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// The index in the commit of a namespace of the present batch.
    pub fn index(&self, namespace: usize) -> Result<usize> {
        let unknown = || Error::InvalidOption("the batch does not name this namespace".into());
        self.indices.get(namespace).copied().ok_or_else(unknown)
    }

    /// Before an entry is set or deleted; `written`: this commit has written it already.
    pub fn check_replace(&mut self, namespace: usize, key: &str, written: bool) -> Result<()> {
        if !self.is_shared || !written {
            return Ok(());
        }
        let was_incremented = self.incremented.remove(&(namespace, key.to_owned()));
        self.allow(was_incremented || self.is_own(namespace, key))
    }

    /// Before an entry is incremented; as `check_replace`.
    pub fn check_increment(&mut self, namespace: usize, key: &str, written: bool) -> Result<()> {
        let entry = (namespace, key.to_owned());
        if !written {
            self.incremented.insert(entry);
            return Ok(());
        }
        self.allow(self.incremented.contains(&entry) || self.is_own(namespace, key))
    }

    /// Before a namespace or queue is emptied; `changed_by`: the first batch that changed it.
    pub fn check_clear(&self, changed_by: Option<usize>) -> Result<()> {
        self.allow(changed_by.is_none_or(|batch| batch == self.batch))
    }

    fn is_own(&self, namespace: usize, key: &str) -> bool {
        self.before.iter().any(|mutation| match mutation {
            Mutation::Set { namespace: own, key: its, .. }
            | Mutation::Increment { namespace: own, key: its, .. } => {
                *its == key && self.indices.get(*own) == Some(&namespace)
            }
            _ => false,
        })
    }

    fn allow(&self, is_allowed: bool) -> Result<()> {
        if is_allowed { Ok(()) } else { Err(Error::Regrouped) }
    }
}
