//! Who has the store open: one guard file per process, held under an exclusive flock.
//!
//! A flock belongs to the open file description, unlike the fcntl locks of LMDB, which belong to
//! the process and vanish when anything in it closes lock.mdb (hazard 7). That is why a second
//! copy of this package in the process is refused by the guard file of the first, why a guard
//! file may be opened and closed again anywhere without harm, and why the guard of a killed
//! process frees itself. Nothing here touches lock.mdb.
//!
//! The file name gives the pid namespace and the pid. The file has one page:
//!
//! | bytes       | content                                                              |
//! |-------------|----------------------------------------------------------------------|
//! | 0..8        | `chguard1`                                                           |
//! | 8..12       | the C library                                                        |
//! | 12..16      | length of the agent's name                                           |
//! | 16..144     | the agent's name, UTF-8                                              |
//! | 256 + 64 n  | slot n: when the snapshot in it began, in ms since 1970; 0 if none   |
//!
//! Numbers are in the machine's byte order: the file never leaves the machine.
#![allow(unsafe_code)] // one block, in `Page::slot`

use std::fs::{self, DirEntry, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use memmap2::{MmapOptions, MmapRaw};

use crate::error::{Error, Result};
use crate::limits::MAX_AGENT_BYTES;
use crate::location::{create_private_directory, create_private_file};

const PAGE_BYTES: usize = 4096;
const MAGIC: &[u8; 8] = b"chguard1";
const LIBC_AT: usize = 8;
const AGENT_BYTES_AT: usize = 12;
const AGENT_AT: usize = 16;
const SLOTS_AT: usize = 256;
/// A cache line each, so that the threads of a process do not slow each other.
const SLOT_BYTES: usize = 64;
const SLOTS: usize = (PAGE_BYTES - SLOTS_AT) / SLOT_BYTES;
const _: () = assert!(AGENT_AT + MAX_AGENT_BYTES <= SLOTS_AT && SLOTS <= 64);

/// The C library of this process. Its robust mutexes lie in lock.mdb, and no two libraries agree
/// on their layout (hazard 14).
const LIBC: u32 = if cfg!(target_env = "gnu") {
    1
} else if cfg!(target_env = "musl") {
    2
} else {
    3
};

/// Held while a process opens, creates or recovers a store. Dropping it lets the next one in.
#[derive(Debug)]
pub struct OpenLock {
    // Closing the only descriptor of an open file releases its flock.
    _file: File,
}

/// Waits until no other process or thread opens this store, then keeps them waiting.
pub fn lock_open(dir: &Path) -> Result<OpenLock> {
    let file = create_private_file(&dir.join("open.lock"))?;
    lock(&file).map_err(|error| Error::io("could not lock open.lock", error))?;
    Ok(OpenLock { _file: file })
}

/// This process's registration with a store. Dropping it unregisters, and so does the death of
/// the process.
#[derive(Debug)]
pub struct ProcessGuard {
    page: Arc<Page>,
    path: PathBuf,
    agent: String,
    // Last, so that the file is unlinked before its lock goes (see `drop`).
    _file: File,
}

/// A process that has the store open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessInfo {
    /// Its id.
    pub pid: u32,
    /// The name stamped on what it writes.
    pub agent: String,
    /// Age of its oldest snapshot in milliseconds, 0 where it holds none.
    pub oldest_snapshot_ms: u64,
}

/// Registers this process. The open lock makes sure that nobody else registers or cleans up.
///
/// # Errors
/// [`Error::DuplicateCopy`], [`Error::PidNamespace`], or [`Error::FormatVersion`] where a process
/// with another C library, or another layout of guard files, has the store open.
pub fn register(dir: &Path, agent: &str, _open: &OpenLock) -> Result<ProcessGuard> {
    let agent = truncated(agent, MAX_AGENT_BYTES);
    let own = (pid_namespace(), std::process::id());
    let directory = dir.join("processes");
    create_private_directory(&directory)
        .map_err(|error| Error::io("could not create processes", error))?;
    for entry in entries(dir)? {
        match probe(&entry)? {
            None => remove_if_there(&entry.path())?,
            Some(live) => refuse_incompatible(own, live)?,
        }
    }
    let path = directory.join(format!("{}-{}", own.0, own.1));
    let file = create_private_file(&path)?;
    // Waits only for readers that are just asking whether this file is locked.
    lock(&file).map_err(|error| Error::io("could not lock the guard file", error))?;
    let page = Page::create(&file, agent)
        .map_err(|error| Error::io("could not write the guard file", error))?;
    Ok(ProcessGuard { page: Arc::new(page), path, agent: agent.to_owned(), _file: file })
}

/// The processes that have the store open, this one first.
pub fn live_processes(dir: &Path, own: &ProcessGuard) -> Result<Vec<ProcessInfo>> {
    let now = now_ms();
    let own_starts = (0..SLOTS).map(|index| own.page.slot(index).load(Ordering::Relaxed));
    let mut processes = vec![ProcessInfo {
        pid: std::process::id(),
        agent: own.agent.clone(),
        oldest_snapshot_ms: age_of_oldest(now, own_starts),
    }];
    for live in live_others(dir, Some(own))? {
        let (Some((_, pid)), Some(header)) = (live.name, live.header) else { continue };
        let oldest_snapshot_ms = age_of_oldest(now, header.starts.into_iter());
        processes.push(ProcessInfo { pid, agent: header.agent, oldest_snapshot_ms });
    }
    Ok(processes)
}

/// Whether any process but this one has the store open.
pub fn others_alive(dir: &Path, own: Option<&ProcessGuard>) -> Result<bool> {
    live_others(dir, own).map(|live| !live.is_empty())
}

impl ProcessGuard {
    /// Takes a slot to publish the age of a snapshot in. Where all are taken, the slot publishes
    /// nothing; only the statistics know less then.
    pub fn claim_slot(&self) -> SnapshotSlot {
        let mut taken = self.page.taken.load(Ordering::Relaxed);
        loop {
            let index = taken.trailing_ones() as usize;
            if index >= SLOTS {
                return SnapshotSlot { page: self.page.clone(), index: None };
            }
            let with_ours = taken | 1 << index;
            match self.page.taken.compare_exchange_weak(
                taken,
                with_ours,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => return SnapshotSlot { page: self.page.clone(), index: Some(index) },
                Err(now) => taken = now,
            }
        }
    }
}

impl Drop for ProcessGuard {
    /// Unlinks before the lock goes: the other way round, this process could register again in
    /// between and lose its new file.
    fn drop(&mut self) {
        // A file that stays is removed by the next process that registers.
        let _ = fs::remove_file(&self.path);
    }
}

/// A place where one thread publishes since when it holds a snapshot. Dropping it frees it.
#[derive(Debug)]
pub struct SnapshotSlot {
    page: Arc<Page>,
    index: Option<usize>,
}

impl SnapshotSlot {
    /// A snapshot begins.
    pub fn begin(&self) {
        self.publish(now_ms());
    }

    /// The snapshot has ended.
    pub fn end(&self) {
        self.publish(0);
    }

    fn publish(&self, ms: u64) {
        if let Some(index) = self.index {
            self.page.slot(index).store(ms, Ordering::Relaxed);
        }
    }
}

impl Drop for SnapshotSlot {
    fn drop(&mut self) {
        self.end();
        if let Some(index) = self.index {
            self.page.taken.fetch_and(!(1 << index), Ordering::Release);
        }
    }
}

/// The guard file's page in memory.
#[derive(Debug)]
struct Page {
    map: MmapRaw,
    /// One bit per slot that a thread of this process has claimed.
    taken: AtomicU64,
}

impl Page {
    /// Writes the whole page before mapping it: on a full disk the write fails, where a store
    /// into a mapped hole would kill the process (hazard 18).
    fn create(mut file: &File, agent: &str) -> std::io::Result<Page> {
        let mut bytes = Vec::with_capacity(PAGE_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&LIBC.to_ne_bytes());
        bytes.extend_from_slice(&(agent.len() as u32).to_ne_bytes());
        bytes.extend_from_slice(agent.as_bytes());
        bytes.resize(PAGE_BYTES, 0);
        file.set_len(0)?;
        file.write_all(&bytes)?;
        let map = MmapOptions::new().len(PAGE_BYTES).map_raw(file)?;
        Ok(Page { map, taken: AtomicU64::new(0) })
    }

    fn slot(&self, index: usize) -> &AtomicU64 {
        assert!(index < SLOTS);
        // SAFETY: the pointer lies inside the map of PAGE_BYTES (asserted), is aligned to 64 bytes
        // because maps begin at a page, and lives as long as `self`. All processes reach these
        // bytes by atomics or by read(2) only. The file is not truncated while it is mapped: its
        // name is ours as long as we hold its lock, and whoever truncates takes the lock before.
        unsafe {
            AtomicU64::from_ptr(self.map.as_mut_ptr().add(SLOTS_AT + index * SLOT_BYTES).cast())
        }
    }
}

/// A guard file whose process is alive.
struct Live {
    /// Pid namespace and pid, from the file's name.
    name: Option<(u64, u32)>,
    header: Option<Header>,
}

struct Header {
    libc: u32,
    agent: String,
    starts: Vec<u64>,
}

fn refuse_incompatible(own: (u64, u32), live: Live) -> Result<()> {
    let Live { name: Some((namespace, pid)), header: Some(header) } = live else {
        return Err(Error::FormatVersion(
            "another version of commonhold has this store open: close it, or give all processes \
             the same version"
                .into(),
        ));
    };
    if namespace != own.0 {
        Err(Error::PidNamespace { pid })
    } else if pid == own.1 {
        Err(Error::DuplicateCopy)
    } else if header.libc != LIBC {
        Err(Error::FormatVersion(format!(
            "process {pid} has this store open with {}, this process runs on {}: processes that \
             share a store must use one C library",
            libc_name(header.libc),
            libc_name(LIBC)
        )))
    } else {
        Ok(())
    }
}

fn libc_name(libc: u32) -> &'static str {
    match libc {
        1 => "glibc",
        2 => "musl",
        _ => "another C library",
    }
}

fn live_others(dir: &Path, own: Option<&ProcessGuard>) -> Result<Vec<Live>> {
    let mut live = Vec::new();
    for entry in entries(dir)? {
        if own.is_none_or(|own| entry.file_name() != own.path.file_name().unwrap_or_default()) {
            live.extend(probe(&entry)?);
        }
    }
    Ok(live)
}

/// The regular files of the directory; anything else there is not ours and left alone.
fn entries(dir: &Path) -> Result<Vec<DirEntry>> {
    let failed = |error| Error::io("could not list processes", error);
    let listing = match fs::read_dir(dir.join("processes")) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in listing {
        let entry = entry.map_err(failed)?;
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            files.push(entry);
        }
    }
    Ok(files)
}

/// What a guard file says, or `None` where its process is dead: its lock can be taken. The lock
/// asked for is a shared one, so that two processes that ask at once do not take each other for
/// the owner; it goes with the descriptor at the end of this function.
fn probe(entry: &DirEntry) -> Result<Option<Live>> {
    let failed = |error| Error::io("could not read a guard file", error);
    let mut file = match OpenOptions::new().read(true).open(entry.path()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed)?,
    };
    match file.try_lock_shared() {
        Ok(()) => return Ok(None),
        Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let mut bytes = Vec::with_capacity(PAGE_BYTES);
    // A locked file cannot be read by others on Windows; then only its name speaks.
    let read = (&mut file).take(PAGE_BYTES as u64).read_to_end(&mut bytes);
    let header = match read {
        Err(_) if cfg!(windows) => {
            Some(Header { libc: LIBC, agent: String::new(), starts: Vec::new() })
        }
        read => read.map(|_| Header::parse(&bytes)).map_err(failed)?,
    };
    Ok(Some(Live { name: parse_name(&entry.file_name().to_string_lossy()), header }))
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Header> {
        if bytes.get(..MAGIC.len())? != MAGIC || bytes.len() != PAGE_BYTES {
            return None;
        }
        let number = |at: usize| bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
        let agent_bytes = (number(AGENT_BYTES_AT)? as usize).min(MAX_AGENT_BYTES);
        let agent = bytes.get(AGENT_AT..AGENT_AT + agent_bytes)?;
        let starts = bytes.get(SLOTS_AT..)?.chunks_exact(SLOT_BYTES);
        Some(Header {
            libc: number(LIBC_AT)?,
            agent: String::from_utf8_lossy(agent).into_owned(),
            starts: starts
                .filter_map(|slot| slot.first_chunk().copied().map(u64::from_ne_bytes))
                .collect(),
        })
    }
}

fn parse_name(name: &str) -> Option<(u64, u32)> {
    let (namespace, pid) = name.split_once('-')?;
    Some((namespace.parse().ok()?, pid.parse().ok()?))
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io("could not remove the guard file of a dead process", error))
        }
        _ => Ok(()),
    }
}

/// A blocking flock; a signal handler that runs meanwhile does not end the wait.
fn lock(file: &File) -> std::io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The pid namespace by the inode that the kernel gave it; pids are only comparable within one.
#[cfg(target_os = "linux")]
fn pid_namespace() -> u64 {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self/ns/pid").map_or(0, |metadata| metadata.ino())
}

#[cfg(not(target_os = "linux"))]
fn pid_namespace() -> u64 {
    0
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}

fn age_of_oldest(now: u64, starts: impl Iterator<Item = u64>) -> u64 {
    starts.filter(|start| *start != 0).min().map_or(0, |oldest| now.saturating_sub(oldest))
}

/// The longest beginning of a text that has at most so many bytes and ends with a character.
fn truncated(text: &str, limit_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(limit_bytes)).unwrap_or_default()
}
