//! Batches that share a commit.
//!
//! They are applied one after another in one transaction, and each sees what those before it
//! wrote. LMDB could nest a transaction for each, to be undone alone, but every nested one costs
//! more than most batches. So a batch that fails before it has written anything is skipped; one
//! that fails later makes the whole transaction be given up and those before it be applied again,
//! and it is the first of the next group, to fail alone.
//!
//! All of a commit has one version. Who was told a version may ask later that an entry is still at
//! it, so an entry that one batch has written is not written again by another batch of the group,
//! unless both only increment it: `Error::Regrouped`.

use heed::RwTxn;

use super::{Committed, Work};
use crate::apply::{Application, Target};
use crate::batch::{Batch, Mutation};
use crate::checkpoint::Durability;
use crate::environment::{Database, Environment};
use crate::error::{Error, Result};
use crate::expiry::now_ms;
use crate::limits::{
    MAX_BATCH_NAMESPACES, MAX_GROUP_BATCHES, MAX_GROUP_BYTES, MAX_GROUPED_MUTATIONS, MAX_VERSION,
};
use crate::shared::WriterState;
use crate::shortage::Access;

/// What became of a group in a transaction.
pub(super) enum Applied {
    /// The results of all batches. Where nothing changed there is nothing to commit.
    All { results: Vec<Result<Committed>>, changed: bool },
    /// The batch with this number, not the first, cannot be in the group: the transaction must be
    /// given up.
    Stuck { at: usize },
}

impl Applied {
    pub fn is_commit(&self) -> bool {
        matches!(self, Applied::All { changed: true, .. })
    }
}

/// Batches to be applied in one transaction.
pub(super) struct Group<'a> {
    works: &'a [Work<'a>],
    /// Of all batches, each once.
    namespaces: Vec<&'a str>,
    /// For each batch its namespaces by their index in `namespaces`.
    indices: Vec<Vec<usize>>,
}

/// The first batches that may share a commit.
pub(super) fn first_that_fit<'w, 'a>(works: &'w [Work<'a>]) -> &'w [Work<'a>] {
    let mut bytes = 0_usize;
    let mut namespaces: Vec<&str> = Vec::new();
    let mut fits = |work: &Work<'a>| {
        bytes = bytes.saturating_add(work.batch.bytes());
        for name in &work.batch.namespaces {
            if !namespaces.contains(name) {
                namespaces.push(name);
            }
        }
        work.batch.mutations.len() <= MAX_GROUPED_MUTATIONS
            && bytes <= MAX_GROUP_BYTES
            && namespaces.len() <= MAX_BATCH_NAMESPACES
    };
    let count = works.iter().take(MAX_GROUP_BATCHES).take_while(|work| fits(work)).count();
    works.get(..count).unwrap_or_default()
}

impl<'a> Group<'a> {
    pub fn new(works: &'a [Work<'a>]) -> Group<'a> {
        let mut namespaces: Vec<&str> = Vec::new();
        let mut index_of = |name: &&'a str| {
            namespaces.iter().position(|known| known == name).unwrap_or_else(|| {
                namespaces.push(name);
                namespaces.len() - 1
            })
        };
        let indices = works
            .iter()
            .map(|work| work.batch.namespaces.iter().map(&mut index_of).collect())
            .collect();
        Group { works, namespaces, indices }
    }

    /// Leaves out the batch with this number and those behind it.
    pub fn shorten(&mut self, count: usize) {
        self.works = self.works.get(..count).unwrap_or_default();
    }

    pub fn namespaces(&self) -> &[&'a str] {
        &self.namespaces
    }

    /// The strictest of all batches.
    pub fn durability(&self) -> Durability {
        match self.works.iter().all(|work| work.durability == Durability::Relaxed) {
            true => Durability::Relaxed,
            false => Durability::Strict,
        }
    }

    /// Bytes of the keys and values of all batches.
    pub fn bytes(&self) -> usize {
        self.works.iter().map(|work| work.batch.bytes()).sum()
    }

    /// What the batches together do to the disk.
    pub fn access(&self) -> Access {
        let removes = |work: &Work| work.batch.reserve_bytes() > 0;
        if self.works.iter().all(removes) {
            Access::Remove
        } else {
            Access::Write(self.bytes() as u64)
        }
    }

    /// Whether a batch writes to a namespace, rather than only removing from it.
    pub fn creates(&self, namespace: usize) -> bool {
        self.works.iter().zip(&self.indices).any(|(work, indices)| {
            indices
                .iter()
                .position(|index| *index == namespace)
                .is_some_and(|index| creates(work.batch, index))
        })
    }

    /// Checks the preconditions and applies the mutations of each batch; the caller commits or
    /// gives up.
    pub fn apply<'txn>(
        &self,
        environment: &Environment,
        txn: &mut RwTxn<'_>,
        writer: &mut WriterState,
        databases: Vec<Option<Database<'txn>>>,
    ) -> Result<Applied> {
        let version = environment.version_of(txn.id());
        if version > MAX_VERSION {
            return Err(Error::FormatVersion("the store has run out of version numbers".into()));
        }
        let targets = self
            .namespaces
            .iter()
            .zip(databases)
            .map(|(name, database)| Target::load(environment, txn, name, database))
            .collect::<Result<Vec<_>>>()?;
        let is_shared = self.works.len() > 1;
        // The clock is read under the writer's lock, so that expiry is judged in the order of
        // commits.
        let mut application =
            Application::new(environment, txn, targets, (version, now_ms()), is_shared, writer);
        let mut results = Vec::with_capacity(self.works.len());
        for (at, (work, indices)) in self.works.iter().zip(&self.indices).enumerate() {
            let writes_before = application.writes;
            let result = application.apply_batch(at, work.agent, work.batch, indices);
            let has_written = application.writes != writes_before;
            match result {
                Err(_) if has_written && at > 0 => return Ok(Applied::Stuck { at }),
                Err(Error::Regrouped) => break,
                Err(error) if has_written => return Err(error),
                Err(error) => results.push(Err(error)),
                Ok(outcomes) => {
                    let version = has_written.then_some(version);
                    results.push(Ok(Committed { version, outcomes }));
                }
            }
        }
        let changed = application.finish()?;
        if changed && let [Ok(only)] = results.as_mut_slice() {
            // A batch that drops the history has written nothing itself.
            only.version = Some(version);
        }
        Ok(Applied::All { results, changed })
    }
}

/// Whether the batch writes to a namespace, rather than only removing from it.
fn creates(batch: &Batch, namespace: usize) -> bool {
    batch.mutations.iter().any(|mutation| match mutation {
        Mutation::Set { namespace: index, .. } | Mutation::Increment { namespace: index, .. } => {
            *index == namespace
        }
        _ => false,
    })
}
