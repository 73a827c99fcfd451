//! The page of a guard file: who the process is, and since when it holds which snapshots.
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

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(target_os = "linux"))]
use std::time::{SystemTime, UNIX_EPOCH};

use memmap2::{MmapOptions, MmapRaw};

use crate::limits::MAX_AGENT_BYTES;
use crate::shortage::keep_in_place;

pub(super) const PAGE_BYTES: usize = 4096;
const MAGIC: &[u8; 8] = b"chguard1";
pub(super) const LIBC_AT: usize = 8;
const AGENT_BYTES_AT: usize = 12;
const AGENT_AT: usize = 16;
const SLOTS_AT: usize = 256;
/// A cache line each, so that the threads of a process do not slow each other.
const SLOT_BYTES: usize = 64;
const SLOTS: usize = (PAGE_BYTES - SLOTS_AT) / SLOT_BYTES;
const _: () = assert!(AGENT_AT + MAX_AGENT_BYTES <= SLOTS_AT && SLOTS <= 64);

/// The C library of this process. Its robust mutexes lie in lock.mdb, and no two libraries agree
/// on their layout (hazard 14).
pub(super) const LIBC: u32 = if cfg!(target_env = "gnu") {
    1
} else if cfg!(target_env = "musl") {
    2
} else {
    3
};

/// The guard file's page in memory.
#[derive(Debug)]
pub(super) struct Page {
    map: MmapRaw,
    /// One bit per slot that a thread of this process has claimed.
    taken: AtomicU64,
}

impl Page {
    /// Writes the whole page before mapping it: on a full disk the write fails, where a store
    /// into a mapped hole would kill the process (hazard 18).
    pub fn create(mut file: &File, agent: &str) -> std::io::Result<Page> {
        let mut bytes = Vec::with_capacity(PAGE_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&LIBC.to_ne_bytes());
        bytes.extend_from_slice(&(agent.len() as u32).to_ne_bytes());
        bytes.extend_from_slice(agent.as_bytes());
        bytes.resize(PAGE_BYTES, 0);
        file.set_len(0)?;
        keep_in_place(file);
        file.write_all(&bytes)?;
        let map = MmapOptions::new().len(PAGE_BYTES).map_raw(file)?;
        Ok(Page { map, taken: AtomicU64::new(0) })
    }

    /// When the snapshots of this process began, by slot.
    pub fn starts(&self) -> impl Iterator<Item = u64> {
        (0..SLOTS).map(|index| self.slot(index).load(Ordering::Relaxed))
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

/// A place where one thread publishes since when it holds a snapshot. Dropping it frees it.
#[derive(Debug)]
pub struct SnapshotSlot {
    page: Arc<Page>,
    index: Option<usize>,
}

impl SnapshotSlot {
    /// Where all slots are taken, this one publishes nothing; only the statistics know less then.
    pub(super) fn claim(page: &Arc<Page>) -> SnapshotSlot {
        let lowest_free = |taken: u64| {
            let index = taken.trailing_ones() as usize;
            (index < SLOTS).then(|| taken | 1 << index)
        };
        let before =
            page.taken.fetch_update(Ordering::Acquire, Ordering::Relaxed, lowest_free).ok();
        let index = before.map(|taken| taken.trailing_ones() as usize);
        SnapshotSlot { page: Arc::clone(page), index }
    }

    /// A snapshot begins.
    pub fn begin(&self) {
        self.publish(now_ms());
    }

    /// The snapshot has ended.
    pub fn end(&self) {
        self.publish(0);
    }

    pub(super) fn publish(&self, ms: u64) {
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

/// What the page of another process says.
pub(super) struct Header {
    pub libc: u32,
    pub agent: String,
    /// When its snapshots began, by slot.
    pub starts: Vec<u64>,
}

impl Header {
    pub fn parse(bytes: &[u8]) -> Option<Header> {
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

/// Whether a file is what a process of ours left: the beginning of a page, of any layout, or what is
/// there when a process or the power goes before the page is written.
pub(super) fn is_ours(path: &Path) -> std::io::Result<bool> {
    let mut bytes = Vec::with_capacity(PAGE_BYTES);
    File::open(path)?.take(PAGE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let is_empty = bytes.len() <= PAGE_BYTES && bytes.iter().all(|byte| *byte == 0);
    Ok(is_empty || bytes.starts_with(b"chguard"))
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    // This runs whenever a read transaction begins: the coarse clock takes a tenth of the time.
    #[cfg(target_os = "linux")]
    {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
        (now.tv_sec * 1_000 + now.tv_nsec / 1_000_000) as u64
    }
    #[cfg(not(target_os = "linux"))]
    {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_millis() as u64
    }
}

/// The longest beginning of a text that has at most so many bytes and ends with a character.
pub(super) fn truncated(text: &str, limit_bytes: usize) -> &str {
    if text.len() <= limit_bytes {
        return text;
    }
    (0..=limit_bytes).rev().find_map(|end| text.get(..end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn slots_are_reused_and_one_too_many_publishes_nothing() {
        let file = tempfile::tempfile().unwrap();
        let page = Arc::new(Page::create(&file, "tester").unwrap());
        let mut slots: Vec<_> = (0..SLOTS).map(|_| SnapshotSlot::claim(&page)).collect();
        let indices: std::collections::BTreeSet<_> = slots.iter().map(|slot| slot.index).collect();
        assert_eq!(indices.len(), SLOTS);
        let one_too_many = SnapshotSlot::claim(&page);
        assert_eq!(one_too_many.index, None);
        one_too_many.begin();
        let freed = slots.remove(17).index;
        assert_eq!(SnapshotSlot::claim(&page).index, freed);
        drop(one_too_many);
        assert_eq!(page.starts().filter(|start| *start != 0).count(), 0);
        slots[0].begin();
        assert_eq!(page.starts().filter(|start| *start != 0).count(), 1);
    }

    #[test]
    fn names_are_cut_at_the_end_of_a_character() {
        assert_eq!(truncated("abc", 128), "abc");
        let name = "\u{20ac}".repeat(50);
        assert_eq!(truncated(&name, 128).len(), 126);
    }

    #[test]
    fn a_page_is_read_back_and_anything_else_is_not_a_page() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let page = Arc::new(Page::create(file.as_file(), "tester").unwrap());
        let slot = SnapshotSlot::claim(&page);
        slot.publish(77);
        let bytes = std::fs::read(file.path()).unwrap();
        let header = Header::parse(&bytes).unwrap();
        assert_eq!((header.libc, &*header.agent, header.starts[0]), (LIBC, "tester", 77));
        assert!(Header::parse(&bytes[1..]).is_none());
        assert!(Header::parse(&bytes[..100]).is_none());
        assert!(Header::parse(&[0; PAGE_BYTES]).is_none());
    }
}
