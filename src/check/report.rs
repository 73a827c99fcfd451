//! What a check has found.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::limits::{MAX_LISTED_NAMES, MAX_LISTED_PROBLEMS};

/// What is wrong. The names are stable; docs/check.md describes each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
#[allow(missing_docs)] // a test holds them and docs/check.md together
pub enum ProblemKind {
    WalkCrashed,
    NotOpened,
    Changing,
    FormatVersion,
    UnsafePath,
    FileMissing,
    FileShort,
    Marker,
    Identity,
    MetaPage,
    ReadFailed,
    PageOutside,
    PageShared,
    PageHeader,
    PageEntries,
    KeyOrder,
    Depth,
    TreeCounts,
    Tree,
    Overflow,
    FreeList,
    Database,
    Key,
    Record,
    Value,
    Catalogue,
    Expiry,
    History,
    Queue,
}

impl ProblemKind {
    /// Every kind with its name.
    pub const ALL: &'static [(ProblemKind, &'static str)] = &[
        (Self::WalkCrashed, "walk-crashed"),
        (Self::NotOpened, "not-opened"),
        (Self::Changing, "changing"),
        (Self::FormatVersion, "format-version"),
        (Self::UnsafePath, "unsafe-path"),
        (Self::FileMissing, "file-missing"),
        (Self::FileShort, "file-short"),
        (Self::Marker, "marker"),
        (Self::Identity, "identity"),
        (Self::MetaPage, "meta-page"),
        (Self::ReadFailed, "read-failed"),
        (Self::PageOutside, "page-outside"),
        (Self::PageShared, "page-shared"),
        (Self::PageHeader, "page-header"),
        (Self::PageEntries, "page-entries"),
        (Self::KeyOrder, "key-order"),
        (Self::Depth, "depth"),
        (Self::TreeCounts, "tree-counts"),
        (Self::Tree, "tree"),
        (Self::Overflow, "overflow"),
        (Self::FreeList, "free-list"),
        (Self::Database, "database"),
        (Self::Key, "key"),
        (Self::Record, "record"),
        (Self::Value, "value"),
        (Self::Catalogue, "catalogue"),
        (Self::Expiry, "expiry"),
        (Self::History, "history"),
        (Self::Queue, "queue"),
    ];

    /// The name, such as `page-header`.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }

    /// Whether it only says that the store could not be looked at.
    fn hides_the_store(self) -> bool {
        matches!(self, Self::NotOpened | Self::Changing | Self::FormatVersion)
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What it is.
    pub kind: ProblemKind,
    /// The same in words.
    pub message: String,
    /// The page of data.mdb.
    pub page: Option<u64>,
    /// The namespace that it concerns.
    pub namespace: Option<String>,
    /// The queue that it concerns.
    pub queue: Option<String>,
    /// The key, or the id of a task.
    pub key: Option<String>,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, message: impl Into<String>) -> Problem {
        let message = message.into();
        Problem { kind, message, page: None, namespace: None, queue: None, key: None }
    }

    pub(crate) fn on_page(self, page: u64) -> Problem {
        Problem { page: Some(page), ..self }
    }

    pub(crate) fn of_namespace(self, name: &[u8]) -> Problem {
        Problem { namespace: Some(text(name)), ..self }
    }

    pub(crate) fn of_queue(self, name: &str) -> Problem {
        Problem { queue: Some(name.to_owned()), ..self }
    }

    pub(crate) fn with_key(self, key: &[u8]) -> Problem {
        Problem { key: Some(text(key)), ..self }
    }

    fn to_json(&self) -> Value {
        let mut json = json!({ "kind": self.kind.as_str(), "message": self.message });
        let places = [("namespace", &self.namespace), ("queue", &self.queue), ("key", &self.key)];
        if let Value::Object(fields) = &mut json {
            for (name, place) in places {
                fields.extend(place.iter().map(|place| (name.to_owned(), json!(place))));
            }
            fields.extend(self.page.map(|page| ("page".to_owned(), json!(page))));
        }
        json
    }
}

/// Names and keys may be damaged too.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What was found so far: the first problems, and the number of all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Findings {
    pub listed: Vec<Problem>,
    pub counts: BTreeMap<ProblemKind, u64>,
    pub harmed: BTreeSet<String>,
}

impl Findings {
    pub fn add(&mut self, problem: Problem) {
        *self.counts.entry(problem.kind).or_default() += 1;
        if let Some(namespace) = &problem.namespace
            && !self.harmed.contains(namespace)
        {
            self.harmed.insert(namespace.clone());
        }
        if self.listed.len() < MAX_LISTED_PROBLEMS {
            self.listed.push(problem);
        }
    }
}

/// Whether a store is sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckStatus {
    /// Nothing is wrong.
    Sound,
    /// Something is.
    Damaged,
    /// It could not be looked at, or not at all of it, and nothing wrong was seen.
    Unchecked,
}

impl CheckStatus {
    /// The name, as JavaScript sees it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sound => "sound",
            Self::Damaged => "damaged",
            Self::Unchecked => "unchecked",
        }
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)] // the names say all
pub struct CheckFigures {
    pub file_bytes: u64,
    pub page_bytes: u64,
    pub pages: u64,
    pub used_pages: u64,
    pub free_pages: u64,
    pub leaked_pages: u64,
    pub namespaces: u64,
    pub records: u64,
    pub record_bytes: u64,
    pub expiring_records: u64,
    pub history_rows: u64,
    pub queues: u64,
    pub tasks: u64,
}

/// What a check has found.
#[derive(Debug, Clone)]
pub struct CheckReport {
    /// The store's directory.
    pub path: PathBuf,
    /// Whether other processes had the store open.
    pub in_use: bool,
    /// Version of the newest commit that was looked at, where it can be known.
    pub version: Option<u64>,
    /// What is wrong: the first [`MAX_LISTED_PROBLEMS`].
    pub problems: Vec<Problem>,
    /// How many problems of each kind there are.
    pub counts: BTreeMap<ProblemKind, u64>,
    /// What was looked at.
    pub figures: CheckFigures,
    /// Namespaces with records that were walked without a problem.
    pub unharmed: Vec<String>,
    /// Namespaces with one.
    pub harmed: Vec<String>,
}

impl CheckReport {
    /// Whether the store is sound.
    pub fn status(&self) -> CheckStatus {
        if self.counts.is_empty() {
            CheckStatus::Sound
        } else if self.counts.keys().all(|kind| kind.hides_the_store()) {
            CheckStatus::Unchecked
        } else {
            CheckStatus::Damaged
        }
    }

    /// How many problems there are, listed or not.
    pub fn problem_count(&self) -> u64 {
        self.counts.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The report as JSON, as docs/check.md describes it.
    pub fn to_json(&self) -> Value {
        let counts = self.counts.iter().map(|(kind, count)| (kind.as_str().to_owned(), *count));
        let names = |all: &[String]| all.iter().take(MAX_LISTED_NAMES).cloned().collect::<Vec<_>>();
        json!({
            "status": self.status().as_str(),
            "path": self.path.to_string_lossy(),
            "inUse": self.in_use,
            "version": self.version,
            "problemCount": self.problem_count(),
            "counts": counts.collect::<BTreeMap<_, _>>(),
            "problems": self.problems.iter().map(Problem::to_json).collect::<Vec<_>>(),
            "figures": self.figures.to_json(),
            "harmedCount": self.harmed.len(),
            "harmed": names(&self.harmed),
            "unharmedCount": self.unharmed.len(),
            "unharmed": names(&self.unharmed),
            "advice": super::advice::advice(self),
        })
    }
}

impl CheckFigures {
    fn to_json(self) -> Value {
        json!({
            "fileBytes": self.file_bytes,
            "pageBytes": self.page_bytes,
            "pages": self.pages,
            "usedPages": self.used_pages,
            "freePages": self.free_pages,
            "leakedPages": self.leaked_pages,
            "namespaces": self.namespaces,
            "records": self.records,
            "recordBytes": self.record_bytes,
            "expiringRecords": self.expiring_records,
            "historyRows": self.history_rows,
            "queues": self.queues,
            "tasks": self.tasks,
        })
    }
}
