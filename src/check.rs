//! Looks at every byte of a store that matters, and says what is damaged and where.
//!
//! Everything is read by position, never through LMDB's map, so that no damage can do worse than
//! to be reported. Pages come first (`tree.rs`, `free.rs`): every page once, every key in order.
//! On the way the rows are compared with one another (`rows.rs`, `history.rs`, `queues.rs`).
//! Nothing on the disk is changed: a store that nobody has open is not even opened.

mod advice;
mod files;
mod free;
mod history;
mod queues;
mod report;
mod rows;
mod source;
mod tree;

use std::path::{Path, PathBuf};

use files::Files;
use report::Findings;
pub use report::{CheckFigures, CheckReport, CheckStatus, Problem, ProblemKind};
use rows::{INTERNAL, Indexes, Named};
use source::Source;
use tree::{Owner, Pages};

use crate::environment::{CATALOGUE, CHANGES, EXPIRY, META, QUEUES};
use crate::error::{Error, Result};
use crate::limits::CHECK_ATTEMPTS;
use crate::location;

/// Checks a store: its pages, its records, its indexes, its files. `path` as for
/// [`Store::open`](crate::Store::open). `crash`: how an earlier check of it ended, if it was
/// killed by what it met; then this one keeps away from LMDB.
///
/// Where other processes have the store open, a snapshot is held for as long as the check takes.
///
/// # Errors
/// [`Error::NotFound`] where there is no store, [`Error::Io`] where it cannot be read.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let path = dir.path().join("store");
/// # let options = commonhold::OpenOptions { path: Some(path.clone()), ..Default::default() };
/// # drop(commonhold::Store::open(&options)?);
/// let report = commonhold::check(Some(&path), None)?;
/// assert_eq!(report.status(), commonhold::CheckStatus::Sound);
/// # Ok::<(), commonhold::Error>(())
/// ```
pub fn check(path: Option<&Path>, crash: Option<&str>) -> Result<CheckReport> {
    let dir = directory(&location::resolve(path)?)?;
    let mut found = Findings::default();
    if let Some(crash) = crash {
        let what = format!("the process that read the store was killed by {crash}");
        found.add(Problem::new(ProblemKind::WalkCrashed, what));
    }
    let mut reasons = Vec::new();
    for _ in 0..CHECK_ATTEMPTS {
        let (report, was_still) = attempt(&dir, found.clone(), crash.is_none())?;
        if was_still {
            return Ok(report);
        }
        reasons = report.problems;
        reasons.retain(|problem| problem.kind == ProblemKind::NotOpened);
    }
    reasons.into_iter().for_each(|reason| found.add(reason));
    let what = "the store was written to while it was walked, again and again";
    found.add(Problem::new(ProblemKind::Changing, what));
    Ok(Walk { findings: found, ..Walk::default() }.report(dir, true))
}

/// The report where even a check that keeps away from LMDB was killed.
pub fn crash_report(path: &Path, crash: &str) -> CheckReport {
    let mut findings = Findings::default();
    let what = format!("the process that read the store was killed by {crash}");
    findings.add(Problem::new(ProblemKind::WalkCrashed, what));
    Walk { findings, ..Walk::default() }.report(path.to_owned(), false)
}

/// The directory without links. Whether it is private is checked later, and reported.
fn directory(path: &Path) -> Result<PathBuf> {
    match location::prepare_directory(path, false) {
        Err(Error::UnsafePath { .. }) => std::fs::canonicalize(path)
            .map_err(|error| Error::io(format!("could not look up {path:?}"), error)),
        found => found,
    }
}

/// One walk, and whether the store stood still under it.
fn attempt(dir: &Path, findings: Findings, may_join: bool) -> Result<(CheckReport, bool)> {
    let mut walk = Walk { findings, ..Walk::default() };
    let Files { data, marker, is_known_format } = files::open(dir, &mut walk.findings)?;
    let Some(file) = data else { return Ok((walk.report(dir.to_owned(), false), true)) };
    let source = Source::choose(dir, &file, may_join, &mut walk.findings)?;
    // Only now: the file may have grown with the commit that is walked.
    let failed = |error| Error::io("could not read data.mdb", error);
    walk.figures.file_bytes = file.metadata().map_err(failed)?.len();
    let Some(meta) = source.meta else {
        return Ok((walk.report(dir.to_owned(), source.in_use), true));
    };
    walk.figures.page_bytes = meta.page_bytes;
    walk.figures.pages = meta.last_page + 1;
    let again = file.try_clone().map_err(failed)?;
    let mut pages = Pages::new(file, meta);
    let (databases, main) = rows::databases(&mut pages, &mut walk.findings);
    if is_known_format {
        walk.databases(&mut pages, &databases, main.is_whole, marker.as_ref());
    } else {
        walk.trees(&mut pages, &databases);
    }
    free::check(&mut pages, &mut walk.findings, &mut walk.figures);
    let was_still = source.was_still(&again);
    Ok((walk.report(dir.to_owned(), source.in_use), was_still))
}

/// What a walk knows so far.
#[derive(Default)]
struct Walk {
    findings: Findings,
    figures: CheckFigures,
    version: Option<u64>,
    unharmed: Vec<String>,
}

impl Walk {
    /// Walks every database and compares what is in them.
    fn databases(
        &mut self,
        pages: &mut Pages,
        databases: &[Named],
        all_were_named: bool,
        marker: Option<&crate::marker::Marker>,
    ) {
        let named = |name: &str| databases.iter().find(|named| named.name == name.as_bytes());
        for name in INTERNAL {
            if named(name).is_none() {
                let what = format!("the internal database {name:?} is missing");
                self.findings.add(Problem::new(ProblemKind::Database, what));
            }
        }
        let identity = named(META).and_then(|it| rows::identity(pages, it, &mut self.findings));
        if let (Some(marker), Some(identity)) = (marker, &identity)
            && marker.store_id != identity.store_id
        {
            let what = "commonhold.json and data.mdb are of different stores";
            self.findings.add(Problem::new(ProblemKind::Identity, what));
        }
        self.version = identity.map(|it| it.version_base.saturating_add(pages.meta.txn_id));
        let mut indexes = Indexes::default();
        if let Some(catalogue) = named(CATALOGUE) {
            indexes.read_catalogue(pages, catalogue, &mut self.findings);
        }
        if let Some(expiry) = named(EXPIRY) {
            indexes.read_expiry(pages, expiry, &mut self.findings);
        }
        self.namespaces(pages, databases, &mut indexes);
        indexes.report_strays(pages, named(EXPIRY), all_were_named, &mut self.findings);
        let (version, findings, figures) = (self.version, &mut self.findings, &mut self.figures);
        if let Some(history) = named(CHANGES) {
            history::check(pages, history, version, findings, figures);
        }
        if let Some(queues) = named(QUEUES) {
            queues::check(pages, queues, version, findings, figures);
        }
        let unknown = |named: &&Named| {
            named.name.first() == Some(&1) && !INTERNAL.iter().any(|it| it.as_bytes() == named.name)
        };
        for named in databases.iter().filter(unknown) {
            let owner = Owner::Internal(&named.name);
            pages.walk(&named.tree, owner, &mut self.findings, &mut |_, _| {});
        }
    }

    fn namespaces(&mut self, pages: &mut Pages, databases: &[Named], indexes: &mut Indexes) {
        let is_namespace = |named: &&Named| named.name.first() != Some(&1);
        let mut unharmed = Vec::new();
        for named in databases.iter().filter(is_namespace) {
            let (findings, figures) = (&mut self.findings, &mut self.figures);
            let count = indexes.check_namespace(pages, named, self.version, findings, figures);
            if count > 0 {
                self.figures.namespaces += 1;
                unharmed.push(report::text(&named.name));
            }
        }
        self.unharmed = unharmed;
    }

    /// Walks the pages only: what is in them is of a format that this version does not know.
    fn trees(&mut self, pages: &mut Pages, databases: &[Named]) {
        for named in databases {
            let owner = rows::owner_of(&named.name);
            pages.walk(&named.tree, owner, &mut self.findings, &mut |_, _| {});
        }
    }

    fn report(self, path: PathBuf, in_use: bool) -> CheckReport {
        let Walk { findings, figures, version, mut unharmed } = self;
        unharmed.retain(|name| !findings.harmed.contains(name));
        CheckReport {
            path,
            in_use,
            version,
            problems: findings.listed,
            counts: findings.counts,
            figures,
            unharmed,
            harmed: findings.harmed.into_iter().collect(),
        }
    }
}

#[cfg(all(test, unix))]
#[path = "check/tests.rs"]
mod tests;
