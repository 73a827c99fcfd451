//! Figures about a store.

use heed::CommitOrAbort;
use heed::types::Bytes;

use crate::checkpoint::{Checkpoint, Recovery};
use crate::environment::{Environment, lmdb_error, pages_of_row};
use crate::error::Result;
use crate::guard::ProcessInfo;
use crate::store::Store;

/// Figures about a store, as of one moment.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Namespaces that hold a live entry.
    pub namespaces: u64,
    /// Live entries of all namespaces.
    pub keys: u64,
    /// Bytes of the file in use.
    pub used_bytes: u64,
    /// Bytes of the file that the next writes can use.
    pub free_bytes: u64,
    /// Largest size the file may grow to, in this process.
    pub max_bytes: u64,
    /// Version of the newest commit.
    pub last_version: u64,
    /// Processes that have the store open.
    pub processes: Vec<ProcessInfo>,
    /// The newest checkpoint, where there were ever relaxed writes.
    pub checkpoint: Option<Checkpoint>,
    /// What the newest recovery from a power cut rolled back.
    pub recovery: Option<Recovery>,
}

impl Store {
    /// Figures about the store. Takes time in proportion to the number of namespaces.
    pub fn stats(&self) -> Result<Stats> {
        self.session.check_open()?;
        let (mut namespaces, mut keys) = (0, 0);
        self.session.visit_namespaces("", |_, live| {
            namespaces += 1;
            keys += live;
        })?;
        let shared = &self.session.shared;
        let processes = shared.live_processes()?;
        let writer = shared.lock_writer();
        let environment = shared.environment(&writer)?;
        let info = environment.lmdb.info();
        let page_bytes = u64::from(environment.lmdb.unnamed_database_stat().page_size);
        let total_bytes = (info.last_page_number as u64 + 1) * page_bytes;
        let used_bytes = (used_pages(&environment)? * page_bytes).min(total_bytes);
        let (checkpoint, recovery) = shared.checkpoint_figures(&environment.store_id);
        Ok(Stats {
            namespaces,
            keys,
            used_bytes,
            free_bytes: total_bytes - used_bytes,
            max_bytes: info.map_size as u64,
            last_version: environment.version_of(info.last_txn_id),
            processes,
            checkpoint,
            recovery,
        })
    }
}

/// Pages of all trees. LMDB's own list of free pages is counted as free.
fn used_pages(environment: &Environment) -> Result<u64> {
    let count = || {
        let txn = environment.begin_read()?;
        environment.lmdb.open_databases_and_commit(txn, |opener, txn| {
            let main = opener.open_database::<Bytes, Bytes>(txn, None)?;
            let mut pages = 2;
            if let Some(main) = main {
                let stat = main.stat(txn)?;
                pages += (stat.branch_pages + stat.leaf_pages + stat.overflow_pages) as u64;
                for row in main.iter(txn)? {
                    pages += pages_of_row(row?.1);
                }
            }
            heed::Result::Ok(CommitOrAbort::<(), u64>::Abort(pages))
        })
    };
    let pages = count().map_err(|error| lmdb_error("count pages", error))?;
    Ok(pages.abort().unwrap_or_default())
}
