//! What is looked at before LMDB maps the data file.
//!
//! LMDB trusts its file. A file cut short kills the process with SIGBUS, one cut to nothing
//! becomes a new, empty store without a word (hazards 16 and 17), and a lock file on a full disk
//! kills it too (hazard 18). All of this is found here by plain reads, under the open lock.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::error::{Error, Result};
use crate::location::{check_file, create_private_file};
use crate::page::{self, Data, Meta, PageError};

/// Largest data file that may be left by a creation that was cut short before its first commit:
/// two meta pages of the largest size.
const MAX_EMPTY_FILE_BYTES: u64 = 2 * 65536;

/// Commits that creating a store takes at most.
const MAX_CREATION_TXN: u64 = 2;

/// How often meta pages are read again while other processes may be writing them. A write in
/// progress is over in microseconds.
const META_READS: usize = 100;

/// What lies in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// No store, or the beginning of one whose creation was interrupted: create one.
    Nothing,
    /// A store that may be mapped.
    Store {
        /// The least size of the memory map, in bytes.
        map_bytes_needed: u64,
        /// Id of the last transaction.
        last_txn: u64,
    },
}

/// Checks the data file before LMDB sees it. `others_alive` says that other processes have the
/// store open: then the file is known to be usable and its length is left alone, because they may
/// be growing it.
///
/// Both meta pages must be sound. LMDB refuses the file itself when the header of one is not
/// (`mdb_env_read_header` reads both before it compares transaction ids). A damaged newest meta
/// page must not lead back to the older one, which would silently undo an acknowledged commit;
/// and with a damaged older one it cannot be told that it was the older one.
///
/// # Errors
/// [`Error::Corrupt`] where a store was here and is damaged or gone, and where there is a data file
/// that no store of ours left.
pub fn check_data_file(dir: &Path, marker_exists: bool, others_alive: bool) -> Result<Found> {
    let path = dir.join("data.mdb");
    check_file(&path)?;
    let file = match File::options().read(true).write(true).open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return absent(marker_exists),
        file => file.map_err(read_failed)?,
    };
    if length(&file)? == 0 {
        return absent(marker_exists);
    }
    if !marker_exists {
        return check_unmarked(&file);
    }
    let reads = if others_alive { META_READS } else { 1 };
    let meta = newest_meta(&file, reads)?;
    if !others_alive {
        check_length(&file, &meta)?;
    }
    Ok(Found::Store { map_bytes_needed: meta.file_bytes(), last_txn: meta.txn_id })
}

/// Creates lock.mdb with all its bytes written. LMDB would leave a hole, and touching a mapped hole
/// on a full disk kills the process. A file that is too short is filled up when nobody uses it.
///
/// LMDB takes a longer file as it is and makes more reader slots of it (`mdb_env_setup_locks`), so
/// the size may be generous: `MDB_reader` and each part of `MDB_txninfo` fill up cache lines of 64
/// bytes, and two mutexes with their fields fit into 1 KiB on every C library.
///
/// To be called only while this process does not have the store open: closing any descriptor of
/// lock.mdb would drop all its fcntl locks (hazard 7).
pub fn preallocate_lock_file(dir: &Path, max_readers: u32, others_alive: bool) -> Result<()> {
    let path = dir.join("lock.mdb");
    check_file(&path)?;
    let wanted = (1024 + u64::from(max_readers) * 64).next_multiple_of(4096);
    let present = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
    if others_alive || present >= wanted {
        return Ok(());
    }
    let mut file = create_private_file(&path)?;
    let fill = |file: &mut File| {
        file.seek(SeekFrom::Start(present))?;
        file.write_all(&vec![0; (wanted - present) as usize])
    };
    fill(&mut file).map_err(|error| Error::io("could not write lock.mdb", error))
}

fn absent(marker_exists: bool) -> Result<Found> {
    if marker_exists {
        return Err(Error::Corrupt(
            "commonhold.json says that a store is here, but data.mdb is missing or empty".into(),
        ));
    }
    Ok(Found::Nothing)
}

/// A data file without a marker is what an interrupted creation left, as long as it shows that it
/// holds nothing else: all zeros, no commit, or the creating commit with internal databases only.
fn check_unmarked(file: &File) -> Result<Found> {
    if is_zeros(file)? {
        // The disk had not got the meta pages when power went; LMDB begins anew at length 0.
        file.set_len(0).map_err(|error| Error::io("could not empty data.mdb", error))?;
        return Ok(Found::Nothing);
    }
    let unfinished = newest_meta(file, 1).is_ok_and(|meta| {
        meta.txn_id <= MAX_CREATION_TXN
            && only_internal_databases(file, &meta)
            && check_length(file, &meta).is_ok()
    });
    if unfinished {
        return Ok(Found::Nothing);
    }
    Err(Error::Corrupt(
        "data.mdb is here without commonhold.json: it belongs to another program, then name \
         another directory; or the store has lost its marker"
            .into(),
    ))
}

fn is_zeros(file: &File) -> Result<bool> {
    let mut bytes = Vec::new();
    let read = file.take(MAX_EMPTY_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(read_failed)?;
    Ok(read as u64 <= MAX_EMPTY_FILE_BYTES && bytes.iter().all(|byte| *byte == 0))
}

/// Internal databases are named with U+0001 in front, which no namespace and hardly another
/// program has. So few fit into one leaf page.
fn only_internal_databases(file: &File, meta: &Meta) -> bool {
    let Some(root) = meta.main.root else { return true };
    let page = page::read_page(file, meta, root);
    let Ok(Ok(leaves)) = page.as_ref().map(page::Page::leaves) else { return false };
    leaves.iter().all(|leaf| leaf.key.first() == Some(&1))
}

/// The newer of the two meta pages, as `mdb_env_pick_meta` picks it.
fn newest_meta(file: &File, reads: usize) -> Result<Meta> {
    let mut outcome = read_metas(file);
    for _ in 1..reads {
        if outcome.is_ok() {
            break;
        }
        std::thread::yield_now();
        outcome = read_metas(file);
    }
    let (first, second) = outcome?;
    Ok(if first.txn_id < second.txn_id { second } else { first })
}

fn read_metas(file: &File) -> Result<(Meta, Meta)> {
    let first = page::read_meta(file, 0).map_err(|error| page_error("meta page 0", error))?;
    let second = page::read_meta(file, first.page_bytes)
        .map_err(|error| page_error("meta page 1", error))?;
    if first.page_bytes != second.page_bytes {
        return Err(Error::Corrupt("the meta pages of data.mdb disagree on the page size".into()));
    }
    Ok((first, second))
}

/// The file may be shorter than its meta page says "if the freeDB lists the final pages"
/// (`mm_last_pg` in mdb.c): pages that a transaction took and gave back before they were written.
/// Such a file is made as long as it says, with a hole, so that no access lies behind its end.
/// Where a missing page is not in the free list, data was lost.
fn check_length(file: &File, meta: &Meta) -> Result<()> {
    let (present, wanted) = (length(file)?, meta.file_bytes());
    if present >= wanted {
        return Ok(());
    }
    let first_missing = present / meta.page_bytes;
    let missing = meta.last_page + 1 - first_missing;
    let listed = free_pages_from(file, meta, first_missing)
        .map_err(|error| page_error("a page of the free list", error))?;
    if listed != missing {
        return Err(Error::Corrupt(format!(
            "data.mdb has {present} bytes, its last commit needs {wanted}: the file was cut short"
        )));
    }
    file.set_len(wanted).map_err(|error| Error::io("could not extend data.mdb", error))
}

/// How many free pages lie at or behind a page. An entry of the free list is an array of words:
/// a count, then so many page numbers (`MDB_IDL` in midl.h). No page is listed twice.
fn free_pages_from(file: &File, meta: &Meta, first: u64) -> std::result::Result<u64, PageError> {
    let mut to_visit: Vec<u64> = meta.free.root.into_iter().collect();
    let mut visits_left = meta.free.pages;
    let mut count = 0;
    while let Some(number) = to_visit.pop() {
        visits_left = visits_left.checked_sub(1).ok_or_else(PageError::endless)?;
        let page = page::read_page(file, meta, number)?;
        if let Some(children) = page.children() {
            to_visit.extend(children);
            continue;
        }
        for leaf in page.leaves()? {
            count += match leaf.data {
                Data::Here(list) => count_from(list, first),
                Data::Overflow { page, bytes } => {
                    count_from(&page::read_overflow(file, meta, page, bytes)?, first)
                }
            };
        }
    }
    Ok(count)
}

fn count_from(list: &[u8], first: u64) -> u64 {
    let mut words = list.chunks_exact(8).filter_map(|word| page::u64_at(word, 0));
    let count = words.next().unwrap_or(0);
    words.take(count as usize).filter(|page| *page >= first).count() as u64
}

fn length(file: &File) -> Result<u64> {
    file.metadata().map(|metadata| metadata.len()).map_err(read_failed)
}

fn read_failed(error: std::io::Error) -> Error {
    Error::io("could not read data.mdb", error)
}

fn page_error(which: &str, error: PageError) -> Error {
    match error {
        PageError::Io(error) => read_failed(error),
        PageError::Damaged(what) => Error::Corrupt(format!("{which} of data.mdb: {what}")),
    }
}
