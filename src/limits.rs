//! Every limit of the store, in one place, with its unit in the name.
//!
//! Each is tested at the limit and one past it (`tests/limits.rs`, `__test__/20-get-set.test.js`).

/// Longest key, in bytes of UTF-8. LMDB allows 1,982 with `longer-keys`; four bytes are kept in
/// reserve for a tag that a later format may put before the key.
pub const MAX_KEY_BYTES: usize = 1_978;

/// Longest namespace name, in bytes of UTF-8.
pub const MAX_NAMESPACE_BYTES: usize = 512;

/// Largest encoded value, in bytes.
pub const MAX_VALUE_BYTES: usize = 512 * 1024 * 1024;

/// Deepest nesting of arrays, objects, maps and sets inside a value.
pub const MAX_VALUE_DEPTH: usize = 512;

/// Largest metadata of an entry, in bytes of its JSON.
pub const MAX_METADATA_BYTES: usize = 64 * 1024;

/// Longest agent name, in bytes of UTF-8. A longer one is cut at a character's end.
pub const MAX_AGENT_BYTES: usize = 128;

/// Largest batch, in bytes of keys and values together.
pub const MAX_BATCH_BYTES: usize = 1024 * 1024 * 1024;

/// Most namespaces that one batch or transaction may touch. Each needs a database handle, and a batch cannot
/// recycle handles half way.
pub const MAX_BATCH_NAMESPACES: usize = 100;

/// Most batches that share a commit.
pub const MAX_GROUP_BATCHES: usize = 4_096;

/// Most bytes of keys and values that batches which share a commit have together.
pub const MAX_GROUP_BYTES: usize = 16 * 1024 * 1024;

/// A batch with more mutations than this has a commit of its own.
pub const MAX_GROUPED_MUTATIONS: usize = 1_000;

/// Most that may wait for the writer thread of a process, in bytes of keys and values. Whoever
/// writes more than that waits.
pub const MAX_QUEUED_BYTES: usize = 64 * 1024 * 1024;

/// What a queued write counts for besides what it writes, about what it takes in memory.
pub const QUEUED_WRITE_BYTES: usize = 512;

/// How long a write waits for another process by default, in milliseconds.
pub const DEFAULT_BUSY_TIMEOUT_MS: u64 = 5_000;

/// How often unsynced commits are brought to the disk by default, in milliseconds.
pub const DEFAULT_FLUSH_INTERVAL_MS: u64 = 100;

/// Most commits that are not on the disk: the next one waits. None of the pages that they free can
/// be used again until then, so this bounds how much the file grows.
pub const MAX_UNSYNCED_COMMITS: u64 = 1_000;

/// Most that commits which are not on the disk have written, in bytes of keys and values.
pub const MAX_UNSYNCED_BYTES: u64 = 16 * 1024 * 1024;

/// Most keys that one transaction may read one by one. Keys of a namespace that it lists do not
/// count.
pub const MAX_TRANSACTION_KEYS_READ: usize = 100_000;

/// Most keys that one transaction may write or delete; a cleared prefix counts as one.
pub const MAX_TRANSACTION_KEYS_WRITTEN: usize = 100_000;

/// Most that one transaction may write, in bytes of keys, values and metadata together. They are
/// held in memory until the commit.
pub const MAX_TRANSACTION_BYTES: usize = 256 * 1024 * 1024;

/// Longest time to live, in milliseconds (about 10,000 years; keeps expiry dates valid in
/// JavaScript, whose last date is 8.64e15 ms).
pub const MAX_TTL_MS: u64 = 315_576_000_000_000;

/// Database handles a process keeps before it recycles its environment. The cost of beginning a
/// transaction grows with this number.
pub const MAX_HANDLES: usize = 128;

/// LMDB's `max_dbs`: the handles above, the internal databases, and some to spare.
pub const MAX_DATABASES: u32 = 144;

/// Reader slots, over all processes. One is in use per thread that holds a snapshot.
pub const MAX_READERS: u32 = 1_024;

/// Default size of the memory map, in bytes: address space, not memory.
pub const DEFAULT_MAP_BYTES: u64 = if cfg!(windows) { 1 << 30 } else { 1 << 40 };

/// Smallest memory map the store will run with, in bytes.
pub const MIN_MAP_BYTES: u64 = 16 * 1024 * 1024;

/// Room beyond the largest size that only removals may use, in bytes: a delete writes new pages
/// before it frees old ones, and a full store would stay full.
pub const REMOVAL_RESERVE_BYTES: u64 = 4 * 1024 * 1024;

/// Room on the disk that only removals and openers may use, in bytes (reserve.rs).
pub const DISK_RESERVE_BYTES: u64 = 256 * 1024;

/// How much of it an opener takes at a time, in bytes: a few blocks, for its guard file.
pub const DISK_LOAN_BYTES: u64 = 16 * 1024;

/// Room that commits leave free on filesystems that could kill the process without (shortage.rs),
/// in bytes.
pub const COMMIT_FLOOR_BYTES: u64 = 8 * 1024 * 1024;

/// The same for removals, which make room in the file.
pub const REMOVAL_FLOOR_BYTES: u64 = 4 * 1024 * 1024;

/// The same for reads, which write to a slot of lock.mdb.
pub const READ_FLOOR_BYTES: u64 = 2 * 1024 * 1024;

/// With so much more than is needed free, the filesystem is not asked again for a while.
pub const ROOM_ENOUGH_BYTES: u64 = 64 * 1024 * 1024;

/// How long that while is, in milliseconds.
pub const ROOM_ASKED_EVERY_MS: u64 = 5;

/// How long an unused snapshot is kept for the next read, in milliseconds.
pub const SNAPSHOT_KEPT_MS: u64 = 5;

/// Expired entries removed in one commit of the sweeper.
pub const SWEEP_ENTRIES_PER_COMMIT: usize = 1_000;

/// Bytes after which a row of the history is full, so that two fit a page of LMDB.
pub const HISTORY_ROW_BYTES: usize = 1_900;

/// How much history is kept by default, in bytes.
pub const DEFAULT_HISTORY_BYTES: u64 = 16 * 1024 * 1024;

/// How long history is kept by default, in milliseconds: a day.
pub const DEFAULT_HISTORY_AGE_MS: u64 = 24 * 60 * 60 * 1_000;

/// The history takes at most one in so many of the bytes that a store may grow to.
pub const HISTORY_SHARE_OF_STORE: u64 = 8;

/// The history is trimmed by one commit in so many.
pub const HISTORY_TRIM_INTERVAL: usize = 16;

/// Rows of the history that a commit removes at most, and two for each one that it adds.
pub const HISTORY_TRIM_ROWS: usize = 64;

/// Longest id of a task, in bytes of UTF-8.
pub const MAX_TASK_ID_BYTES: usize = 1_024;

/// Longest lease of a task, in milliseconds: a day.
pub const MAX_LEASE_MS: u64 = 24 * 60 * 60 * 1_000;

/// Most claims that a queue can allow before a task is dead.
pub const MAX_TASK_ATTEMPTS: u32 = 1_000_000;

/// How much is kept of the error of a failed task, in bytes of UTF-8.
pub const MAX_TASK_ERROR_BYTES: usize = 4 * 1024;

/// Due tasks, and tasks out of budget, that one claim sees to at most.
pub const QUEUE_ROWS_PER_CLAIM: usize = 64;

/// The least time between two renewals of a lease, in milliseconds.
pub const MIN_RENEWAL_INTERVAL_MS: u64 = 5;

/// Versions stay exact in a JavaScript number.
pub const MAX_VERSION: u64 = (1 << 53) - 1;

/// How far versions jump when a store goes back in time (a restore, a recovery), so that no
/// version is handed out twice.
pub const VERSION_JUMP: u64 = 1 << 32;

/// Problems that a check lists. It counts all of them.
pub const MAX_LISTED_PROBLEMS: usize = 1_000;

/// Harmed namespaces that a check lists, and unharmed ones. It counts all of them.
pub const MAX_LISTED_NAMES: usize = 10_000;

/// How often a check begins anew because the store was written to meanwhile.
pub const CHECK_ATTEMPTS: usize = 5;
