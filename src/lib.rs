//! commonhold: one data store that all agent processes of a user share, on LMDB.
//!
//! Producer processes write, consumer processes read at once, through a memory map, with no
//! server. This crate is the store; the npm package of the same name is its face in JavaScript.
//!
//! **It is not** a network database, a query language, or a place for more data than a disk
//! holds. Every reader and writer is a process of the same user on the same machine.
//!
//! Hard limits: keys of 1 to 1,978 bytes, namespace names of 1 to 512 bytes, values up to
//! 512 MiB, 1,024 concurrent snapshots over all processes, stores up to 1 TiB ([`limits`]).

mod apply;
mod backup;
mod batch;
mod catalogue;
mod changes;
mod channel;
mod check;
mod checkpoint;
mod commit;
mod deadline;
mod environment;
mod error;
mod expiry;
mod filesystem;
mod gate;
mod guard;
pub mod limits;
mod location;
mod maintenance;
mod marker;
mod names;
mod namespace;
mod packed;
mod page;
mod preflight;
mod queue;
mod range;
mod reader;
mod record;
mod reserve;
mod scan;
mod shared;
mod sharing;
mod shortage;
mod signals;
mod stats;
mod store;
mod transaction;
mod turn;
pub mod value;
mod wake;
mod watch;
mod weakened;
#[cfg(target_os = "linux")]
mod words;
mod writer;

// Not in unit tests: napi registers nothing there, and they run without Node.
#[cfg(all(feature = "node", not(test)))]
mod node;

pub use batch::{Batch, MetadataPatch, Outcome, Ttl};
pub use changes::{ChangeKind, HistoryLimits};
pub use channel::Channel;
pub use check::{
    CheckFigures, CheckReport, CheckStatus, Problem, ProblemKind, check, crash_report,
};
pub use checkpoint::{Checkpoint, Durability, Recovery};
pub use commit::Committed;
pub use error::{Code, Error, Holder, Result};
pub use guard::ProcessInfo;
pub use namespace::{EntryHead, Namespace, NamespaceWrite};
pub use queue::{
    Claim, ClaimedTask, Hold, OwnedToken, Queue, QueueOptions, QueueStats, QueueWrite, TaskState,
    TaskStatus,
};
pub use range::Range;
pub use scan::{Scan, ScanPosition, ScannedEntry, Visit};
pub use shortage::Shortage;
pub use signals::{Interest, Subscription};
pub use stats::Stats;
pub use store::{OpenOptions, Store};
pub use transaction::{ListedValue, Transaction};
pub use turn::Turn;
pub use watch::{WatchedChange, Watcher};
pub use writer::{Done, Write};
