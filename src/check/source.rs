//! Which snapshot is walked, and how it is kept still without changing a byte of the store.
//!
//! Where other processes have the store open, a read transaction keeps LMDB from reusing the pages
//! of its snapshot, and the meta page of just that transaction is taken. Where nobody has, nothing
//! is opened, because that could create or change files. LMDB does not overwrite a page of commit T
//! before commit T + 1 is done: the walk was on one state if T is the newest commit after it, too.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::report::{Findings, Problem, ProblemKind};
use super::tree::{kind_of, words};
use crate::checkpoint;
use crate::environment::ReadTxn;
use crate::error::{Error, Result};
use crate::guard;
use crate::page::{Meta, PageError, read_meta};
use crate::reader::PinnedEnvironment;
use crate::store::Store;

/// How often meta pages are read again that are being written.
const META_READS: usize = 100;

/// A snapshot, and what keeps it.
pub(super) struct Source {
    /// `None` where no meta page can be read.
    pub meta: Option<Meta>,
    pub in_use: bool,
    pin: Option<Pin>,
    /// The store's directory, where the state is that of a checkpoint to which the next opener
    /// goes back.
    past_of: Option<PathBuf>,
}

/// Dropped in this order.
struct Pin {
    txn: ReadTxn,
    environment: PinnedEnvironment,
    _store: Store,
}

impl Source {
    /// Chooses the newest snapshot. `may_join`: not where the process that tried has crashed.
    pub fn choose(
        dir: &Path,
        file: &File,
        may_join: bool,
        findings: &mut Findings,
    ) -> Result<Source> {
        let in_use = guard::others_alive(dir, None).unwrap_or(false);
        let pin = if in_use && may_join { join(dir, findings) } else { None };
        let mut pin = match pin {
            Some(pin) => pin,
            None => {
                let past = checkpoint::pending(dir, file).filter(|_| !in_use);
                let past_of = past.is_some().then(|| dir.to_owned());
                let meta = past.or_else(|| newest_meta(file, in_use, findings));
                return Ok(Source { meta, in_use, pin: None, past_of });
            }
        };
        for _ in 0..META_READS {
            if let Some(meta) = pin.meta(file) {
                return Ok(Source { meta: Some(meta), in_use, pin: Some(pin), past_of: None });
            }
            pin.renew()?;
        }
        let meta = newest_meta(file, true, findings);
        Ok(Source { meta, in_use, pin: None, past_of: None })
    }

    /// Whether the snapshot was still there when the walk ended.
    pub fn was_still(&self, file: &File) -> bool {
        let Some(walked) = &self.meta else { return true };
        if let Some(dir) = &self.past_of {
            return checkpoint::pending(dir, file).as_ref() == Some(walked);
        }
        self.pin.is_some()
            || newest_meta(file, true, &mut Findings::default()).as_ref() == Some(walked)
    }
}

impl Pin {
    /// The meta page of the transaction, if no later commit has taken its place yet. While it is
    /// being overwritten it could be read half and half; two readings would differ.
    fn meta(&self, file: &File) -> Option<Meta> {
        let id = self.txn.id() as u64;
        let read = || {
            let first = read_meta(file, 0).ok()?;
            let meta = if id & 1 == 0 { first } else { read_meta(file, first.page_bytes).ok()? };
            (meta.txn_id == id && meta.check_trees().is_ok()).then_some(meta)
        };
        let meta = read()?;
        let is_recent = self.environment.environment.newest_txn() as u64 <= id + 1;
        (is_recent && read() == Some(meta)).then_some(meta)
    }

    fn renew(&mut self) -> Result<()> {
        self.txn = begin(&self.environment)?;
        Ok(())
    }
}

fn begin(environment: &PinnedEnvironment) -> Result<ReadTxn> {
    environment
        .environment
        .begin_read()
        .map_err(|error| crate::environment::lmdb_error("begin", error))
}

fn join(dir: &Path, findings: &mut Findings) -> Option<Pin> {
    let pinned = Store::join(dir, "commonhold check").and_then(|store| {
        let Some(store) = store else { return Ok(None) };
        let environment = store.session.pin()?;
        let txn = begin(&environment)?;
        Ok(Some(Pin { txn, environment, _store: store }))
    });
    pinned.unwrap_or_else(|error| {
        // What is wrong with the path has been said.
        if !matches!(error, Error::UnsafePath { .. }) {
            let what = format!("other processes have the store open, this one cannot: {error}");
            findings.add(Problem::new(ProblemKind::NotOpened, what));
        }
        None
    })
}

/// The meta page of the newest commit. Both must be sound and belong together, because with one
/// damaged nobody knows which was the newest; then the sound one is walked all the same.
fn newest_meta(file: &File, may_change: bool, findings: &mut Findings) -> Option<Meta> {
    let mut metas = read_both(file);
    for _ in 1..if may_change { META_READS } else { 1 } {
        if problem_of(&metas).is_none() {
            break;
        }
        std::thread::yield_now();
        metas = read_both(file);
    }
    if let Some(problem) = problem_of(&metas) {
        findings.add(problem);
    }
    match metas {
        (Ok(first), Ok(second)) if first.txn_id < second.txn_id => Some(second),
        (Ok(meta), _) | (_, Ok(meta)) => Some(meta),
        _ => None,
    }
}

type ReadMeta = std::result::Result<Meta, PageError>;

fn read_both(file: &File) -> (ReadMeta, ReadMeta) {
    let first = read_meta(file, 0);
    let second = match &first {
        Ok(first) => read_meta(file, first.page_bytes),
        // Without the first one the page size is not known: the second one says it itself.
        Err(_) => (8..=16)
            .map(|power| 1 << power)
            .find_map(|bytes| read_meta(file, bytes).ok().filter(|meta| meta.page_bytes == bytes))
            .ok_or_else(|| PageError::Damaged("it is not a meta page".into())),
    };
    (first, second)
}

fn problem_of(metas: &(ReadMeta, ReadMeta)) -> Option<Problem> {
    let of_page = |page, error| {
        let what = format!("meta page {page}: {}", words(error));
        Problem::new(kind_of(error, ProblemKind::MetaPage), what).on_page(page)
    };
    let (first, second) = match metas {
        (Ok(first), Ok(second)) => (first, second),
        (Err(error), _) => return Some(of_page(0, error)),
        (_, Err(error)) => return Some(of_page(1, error)),
    };
    // Commits write the two in turn, even ids into the first. A new file has the same in both.
    let newest = first.txn_id.max(second.txn_id);
    let in_turn = match first.txn_id.abs_diff(second.txn_id) {
        0 => first == second,
        1 => (newest & 1 == 0) == (first.txn_id == newest),
        _ => false,
    };
    let belong_together = first.page_bytes == second.page_bytes && in_turn;
    (!belong_together).then(|| {
        let (one, other) = (first.txn_id, second.txn_id);
        let what = format!("the meta pages do not belong together: commits {one} and {other}");
        Problem::new(ProblemKind::MetaPage, what)
    })
}
