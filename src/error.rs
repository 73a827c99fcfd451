//! What can go wrong, and the stable code of each.

use std::path::{Path, PathBuf};

use crate::shortage::Shortage;

/// The result of every fallible call of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong. Each message says what happened and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A key is empty or ill-formed.
    #[error("invalid key: {0}")]
    InvalidKey(String),

    /// A namespace name is empty, too long, or contains a control character.
    #[error("invalid namespace name: {0}")]
    InvalidNamespace(String),

    /// A queue's name is empty, too long, or contains a control character.
    #[error("invalid name of a queue: {0}")]
    InvalidQueueName(String),

    /// A value cannot be stored.
    #[error("invalid value: {0}")]
    InvalidValue(String),

    /// An option or argument is out of its range.
    #[error("invalid option: {0}")]
    InvalidOption(String),

    /// A key has more bytes than LMDB can index.
    #[error(
        "the key has {bytes} bytes of UTF-8, the limit is {limit}: shorten it, or store the long part in the value"
    )]
    KeyTooLong {
        /// Bytes of the key.
        bytes: usize,
        /// The limit.
        limit: usize,
    },

    /// A value, its metadata, or a batch is too large.
    #[error("{what} has {bytes} bytes, the limit is {limit}: split it over several keys")]
    ValueTooLarge {
        /// What is too large.
        what: &'static str,
        /// Its bytes.
        bytes: usize,
        /// The limit.
        limit: usize,
    },

    /// A value is nested too deeply.
    #[error("the value is nested deeper than {limit} levels")]
    ValueTooDeep {
        /// The limit.
        limit: usize,
    },

    /// The entry changed since the caller read it.
    #[error("{}", conflict_message(namespace, key, *expected, *actual))]
    Conflict {
        /// Namespace of the entry.
        namespace: String,
        /// Key of the entry.
        key: String,
        /// The version the caller expected (0: no entry).
        expected: u64,
        /// The version found (0: no entry).
        actual: u64,
    },

    /// A namespace changed since a transaction listed or counted it.
    #[error("{namespace:?} changed since the transaction listed or counted it: it runs again")]
    NamespaceChanged {
        /// The namespace.
        namespace: String,
    },

    /// Another writer changed what a transaction has read, so it cannot read on.
    #[error("another writer changed what the transaction had read: it runs again")]
    TransactionOvertaken,

    /// A store was written to while a transaction of the same handle was running.
    #[error(
        "invalid option: a transaction of this store is running: write through its tx.useNamespace(), or after it"
    )]
    InTransaction,

    /// A transaction was used after its end.
    #[error("the transaction has ended: use tx only inside the function it was given to")]
    TransactionEnded,

    /// The function of a transaction is asynchronous.
    #[error("the function of a transaction is synchronous: await before it, not inside")]
    AsyncTransaction,

    /// A task's lease ran out and another worker has claimed the task, or it is finished.
    #[error("task {id:?} of queue {queue:?}: {reason}")]
    LeaseLost {
        /// The queue.
        queue: String,
        /// The task.
        id: String,
        /// What happened to it.
        reason: String,
    },

    /// Another process was writing, or opening the store, for longer than `busyTimeout`.
    #[error("{}", busy_message(*waited_ms, doing, holder.as_ref()))]
    Busy {
        /// How long the call waited.
        waited_ms: u64,
        /// What it waited for.
        doing: &'static str,
        /// The process that does it, as far as it is known.
        holder: Option<Holder>,
    },

    /// A backup of this process keeps the environment in place. The store waits for it and goes
    /// on; callers never see this.
    #[error("a backup keeps the environment in place")]
    Pinned,

    /// A batch cannot share a commit with those before it. It is committed later; callers never
    /// see this.
    #[error("the batch needs a commit of its own")]
    Regrouped,

    /// Nothing came within the time.
    #[error("{0}")]
    Timeout(String),

    /// `increment` met a value that is not a number.
    #[error(
        "{key:?} in {namespace:?} holds {found}, which cannot be incremented: use update() or another key"
    )]
    NotANumber {
        /// Namespace of the entry.
        namespace: String,
        /// Key of the entry.
        key: String,
        /// The kind of value found.
        found: &'static str,
    },

    /// The store was closed.
    #[error("the store is closed: open it again with openStore()")]
    Closed,

    /// The store was opened with `readOnly`.
    #[error("the store was opened with readOnly: open it without to write")]
    ReadOnly,

    /// There is no store at this path.
    #[error(
        "there is no store at {}: correct the path, or create one with openStore(), without readOnly",
        .0.display()
    )]
    NotFound(PathBuf),

    /// The store has grown to its maximum size.
    #[error(
        "the store has reached its largest size: delete what is no longer needed, or open it with a larger maxSize (stats().maxBytes is the present one; ulimit -v limits it, too); nothing was written"
    )]
    StoreFull,

    /// Another process has written past the end of this process's memory map. The store maps the
    /// file again and goes on; callers see this only if that fails.
    #[error(
        "another process has grown the store past this process's maxSize: close the store and open it again"
    )]
    MapOutgrown,

    /// The last commit could not write its meta page, so LMDB refuses everything until the file is
    /// mapped again. The store does that and goes on; callers see this only if it fails.
    #[error("a meta page was not written: close every handle and open the store again")]
    MetaNotWritten,

    /// The disk, a quota or another limit of the system has no room for the write.
    #[error("{0}; nothing was written")]
    NoSpace(Shortage),

    /// The operating system reported an error.
    #[error("{action}: {source}")]
    Io {
        /// What was being done.
        action: String,
        /// The system's error.
        source: std::io::Error,
    },

    /// An earlier write failed in a way that leaves the state of the disk unknown.
    #[error(
        "an earlier write to this store failed ({0}): close every handle and open the store again before writing"
    )]
    Poisoned(String),

    /// The store's bytes are damaged.
    #[error(
        "the store is damaged: {0}. Do not write to it; copy the directory, see what is harmed with npx commonhold check DIRECTORY, and restore a backup"
    )]
    Corrupt(String),

    /// A store cannot be opened, because its bytes are damaged.
    #[error(
        "the store at {} is damaged: {what}. It was not opened, and is left as it is. Copy the directory, see what is harmed with npx commonhold check {}, and restore a backup made by backup()", path.display(), quoted(path)
    )]
    Refused {
        /// The directory of the store.
        path: PathBuf,
        /// What is damaged.
        what: String,
    },

    /// The store was written by a newer version of this package, or by another C library.
    #[error("{0}")]
    FormatVersion(String),

    /// The directory is not safe to keep a private store in.
    #[error("{} is not safe: {reason}", .path.display())]
    UnsafePath {
        /// The directory or file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },

    /// The filesystem cannot hold a store.
    #[error("{} is on {filesystem}, where locks and shared memory between processes are not reliable: keep the store on a local disk", .path.display())]
    UnsupportedFilesystem {
        /// The directory.
        path: PathBuf,
        /// Name of the filesystem.
        filesystem: String,
    },

    /// A process in another container has the store open.
    #[error(
        "process {pid} of another pid namespace (container) has this store open: processes that share a store must share a pid namespace (docker run --pid, or one container)"
    )]
    PidNamespace {
        /// The other process, as numbered in its own namespace.
        pid: u32,
    },

    /// A second copy of this package in the same process.
    #[error(
        "another copy of commonhold in this process has the store open: install one version only (npm ls commonhold shows them)"
    )]
    DuplicateCopy,
}

/// A process that keeps others waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its id.
    pub pid: u32,
    /// The name stamped on what it writes; `None` where no live process of that id has the store
    /// open.
    pub agent: Option<String>,
}

fn busy_message(waited_ms: u64, doing: &str, holder: Option<&Holder>) -> String {
    let who = match holder {
        Some(Holder { pid, agent: Some(agent) }) if *pid == std::process::id() => {
            format!("another thread of this process ({pid}, agent {agent:?})")
        }
        Some(Holder { pid, agent: Some(agent) }) => format!("process {pid} (agent {agent:?})"),
        Some(Holder { pid, agent: None }) => format!("process {pid} (not known, or ended since)"),
        None => "another process, not known which".into(),
    };
    format!(
        "waited {waited_ms} ms (busyTimeout) for {who}: it is {doing}, or was stopped while it \
         did. Try again, or let that process go on or end; nothing was written"
    )
}

fn conflict_message(namespace: &str, key: &str, expected: u64, actual: u64) -> String {
    let remedy = "read it again and retry, or use update()";
    match (expected, actual) {
        (0, _) => format!("{key:?} in {namespace:?} exists already, at version {actual}: {remedy}"),
        (_, 0) => format!(
            "{key:?} in {namespace:?} has no entry (deleted, expired, or never there), \
             but version {expected} was required: {remedy}"
        ),
        _ => format!(
            "{key:?} in {namespace:?} is at version {actual}, not {expected}: \
             another writer was first; {remedy}"
        ),
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@".contains(c);
    if text.chars().all(is_plain) { text.into_owned() } else { format!("{text:?}") }
}

/// The stable name of a kind of error, the same in Rust and in JavaScript.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // docs/errors.md describes each; a test holds the two together
pub enum Code {
    InvalidKey,
    InvalidNamespace,
    InvalidValue,
    InvalidOption,
    KeyTooLong,
    ValueTooLarge,
    ValueTooDeep,
    Schema,
    Conflict,
    NotANumber,
    AsyncTransaction,
    LeaseLost,
    Busy,
    Timeout,
    Closed,
    ReadOnly,
    NotFound,
    StoreFull,
    NoSpace,
    Io,
    Corrupt,
    FormatVersion,
    UnsafePath,
    UnsupportedFilesystem,
    PidNamespace,
    DuplicateCopy,
}

impl Code {
    /// Every code with its name and whether the same call may succeed when tried again.
    pub const ALL: &'static [(Code, &'static str, bool)] = &[
        (Code::InvalidKey, "ERR_INVALID_KEY", false),
        (Code::InvalidNamespace, "ERR_INVALID_NAMESPACE", false),
        (Code::InvalidValue, "ERR_INVALID_VALUE", false),
        (Code::InvalidOption, "ERR_INVALID_OPTION", false),
        (Code::KeyTooLong, "ERR_KEY_TOO_LONG", false),
        (Code::ValueTooLarge, "ERR_VALUE_TOO_LARGE", false),
        (Code::ValueTooDeep, "ERR_VALUE_TOO_DEEP", false),
        (Code::Schema, "ERR_SCHEMA", false),
        (Code::Conflict, "ERR_CONFLICT", true),
        (Code::NotANumber, "ERR_NOT_A_NUMBER", false),
        (Code::AsyncTransaction, "ERR_ASYNC_TRANSACTION", false),
        (Code::LeaseLost, "ERR_LEASE_LOST", false),
        (Code::Busy, "ERR_BUSY", true),
        (Code::Timeout, "ERR_TIMEOUT", true),
        (Code::Closed, "ERR_CLOSED", false),
        (Code::ReadOnly, "ERR_READ_ONLY", false),
        (Code::NotFound, "ERR_NOT_FOUND", false),
        (Code::StoreFull, "ERR_STORE_FULL", false),
        (Code::NoSpace, "ERR_NO_SPACE", true),
        (Code::Io, "ERR_IO", false),
        (Code::Corrupt, "ERR_CORRUPT", false),
        (Code::FormatVersion, "ERR_FORMAT_VERSION", false),
        (Code::UnsafePath, "ERR_UNSAFE_PATH", false),
        (Code::UnsupportedFilesystem, "ERR_UNSUPPORTED_FILESYSTEM", false),
        (Code::PidNamespace, "ERR_PID_NAMESPACE", false),
        (Code::DuplicateCopy, "ERR_DUPLICATE_COPY", false),
    ];

    /// The name, such as `ERR_CONFLICT`.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(code, ..)| *code == self).map_or("ERR_IO", |(_, name, _)| name)
    }

    /// Whether the same call may succeed when tried again, with nothing changed by the caller.
    pub fn is_retryable(self) -> bool {
        Self::ALL.iter().any(|(code, _, retryable)| *code == self && *retryable)
    }
}

impl Error {
    /// The stable code of this error.
    pub fn code(&self) -> Code {
        match self {
            Error::InvalidKey(_) => Code::InvalidKey,
            Error::InvalidNamespace(_) | Error::InvalidQueueName(_) => Code::InvalidNamespace,
            Error::InvalidValue(_) => Code::InvalidValue,
            Error::InvalidOption(_) | Error::InTransaction => Code::InvalidOption,
            Error::KeyTooLong { .. } => Code::KeyTooLong,
            Error::ValueTooLarge { .. } => Code::ValueTooLarge,
            Error::ValueTooDeep { .. } => Code::ValueTooDeep,
            Error::Conflict { .. }
            | Error::NamespaceChanged { .. }
            | Error::TransactionOvertaken => Code::Conflict,
            Error::NotANumber { .. } => Code::NotANumber,
            Error::AsyncTransaction => Code::AsyncTransaction,
            Error::LeaseLost { .. } => Code::LeaseLost,
            Error::Busy { .. } | Error::Pinned | Error::Regrouped => Code::Busy,
            Error::Timeout(_) => Code::Timeout,
            Error::Closed | Error::TransactionEnded => Code::Closed,
            Error::ReadOnly => Code::ReadOnly,
            Error::NotFound(_) => Code::NotFound,
            Error::StoreFull | Error::MapOutgrown => Code::StoreFull,
            Error::NoSpace(_) => Code::NoSpace,
            Error::Io { .. } | Error::Poisoned(_) | Error::MetaNotWritten => Code::Io,
            Error::Corrupt(_) | Error::Refused { .. } => Code::Corrupt,
            Error::FormatVersion(_) => Code::FormatVersion,
            Error::UnsafePath { .. } => Code::UnsafePath,
            Error::UnsupportedFilesystem { .. } => Code::UnsupportedFilesystem,
            Error::PidNamespace { .. } => Code::PidNamespace,
            Error::DuplicateCopy => Code::DuplicateCopy,
        }
    }

    /// The same, where opening the store in a directory failed.
    pub(crate) fn of_store(self, dir: &Path) -> Error {
        match self {
            Error::Corrupt(what) => Error::Refused { path: dir.to_owned(), what },
            error => error,
        }
    }

    /// Whether the file has to be mapped again before anything else can be done.
    pub(crate) fn needs_remap(&self) -> bool {
        matches!(self, Error::MapOutgrown | Error::MetaNotWritten)
    }

    /// An operating system error, with what was being done. One that names a limit becomes
    /// [`Error::NoSpace`].
    pub fn io(action: impl Into<String>, source: std::io::Error) -> Error {
        match Shortage::of(&source) {
            Some(shortage) => Error::NoSpace(shortage),
            None => Error::Io { action: action.into(), source },
        }
    }
}
