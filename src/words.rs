//! A page of atomic words in a small file that all processes map.
#![allow(unsafe_code)] // one block, in `Words::word`

use std::fs::File;
use std::io::Write;
use std::sync::atomic::AtomicU32;

use memmap2::{MmapOptions, MmapRaw};

use crate::shortage::keep_in_place;

const PAGE_BYTES: usize = 4096;

/// The mapped page.
pub(crate) struct Words {
    map: MmapRaw,
}

impl Words {
    /// Maps the page, and writes it before where it is not there yet. The caller holds the lock of
    /// openers.
    pub fn open(file: &File, magic: &[u8; 8]) -> std::io::Result<Words> {
        if file.metadata()?.len() < PAGE_BYTES as u64 {
            fill(file, magic)?;
        }
        let map = MmapOptions::new().len(PAGE_BYTES).map_raw(file)?;
        Ok(Words { map })
    }

    /// The word at this byte.
    pub fn word(&self, at: usize) -> &AtomicU32 {
        assert!(at + 4 <= PAGE_BYTES && at.is_multiple_of(4));
        // SAFETY: the pointer lies inside the map (asserted), is aligned because maps begin at a
        // page, and lives as long as `self`. All processes reach these bytes by atomics only. The
        // file lies in a directory that is private to the user, and nobody of us makes it shorter.
        unsafe { AtomicU32::from_ptr(self.map.as_mut_ptr().add(at).cast()) }
    }
}

/// Writes the whole page before it is mapped: on a full disk the write fails, where a store into
/// a mapped hole would kill the process (hazard 18).
fn fill(mut file: &File, magic: &[u8; 8]) -> std::io::Result<()> {
    keep_in_place(file);
    let mut page = [0; PAGE_BYTES];
    if let Some(start) = page.first_chunk_mut() {
        *start = *magic;
    }
    file.write_all(&page)
}
