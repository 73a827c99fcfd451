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
use crate::marker;
use crate::page::{self, Data, Meta, PageError};
use crate::shortage::keep_in_place;

/// Largest data file that may be left by a creation that was cut short before its first commit:
/// two meta pages of the largest size.
const MAX_EMPTY_FILE_BYTES: u64 = 2 * 65536;

/// Commits of a store that was never finished. Creating takes one; each attempt that was cut short
/// left one more.
pub(crate) const MAX_CREATION_TXN: u64 = 16;

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
        return check_unmarked(dir, &file);
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
    if present == 0 {
        keep_in_place(&file);
    }
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

/// A data file without a marker is what an interrupted creation left, if the creation was announced,
/// or as long as it shows that it holds nothing else: all zeros, no commit, or a few commits with
/// internal databases only.
fn check_unmarked(dir: &Path, file: &File) -> Result<Found> {
    if marker::is_announced(dir)? || is_zeros(file)? {
        // The disk had not got all pages when power went; LMDB begins anew at length 0.
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
    for (which, meta, other) in [("0", &first, &second), ("1", &second, &first)] {
        // One that LMDB took back has the transaction id before that of the other.
        if meta.txn_id.checked_add(1) != Some(other.txn_id) {
            meta.check_trees().map_err(|error| page_error(&format!("meta page {which}"), error))?;
        }
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
    let mut visits_left = meta.free.pages();
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

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, unsafe_code)]
    use std::os::unix::fs::FileExt;

    use heed::types::Bytes;
    use heed::{CommitOrAbort, Env, EnvOpenOptions, WithoutTls};

    use super::*;

    fn open(dir: &Path) -> Env<WithoutTls> {
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(1 << 30).max_dbs(8).max_readers(200);
        // SAFETY: the directory is the test's own, and each environment is opened once.
        unsafe { options.open(dir) }.unwrap()
    }

    /// Puts values of the given sizes in one commit, then deletes the last ones in the same one.
    fn commit(env: &Env<WithoutTls>, database: &str, sizes: &[usize], deleted: usize) {
        let txn = env.write_txn().unwrap();
        env.create_databases_and_commit(txn, |opener, txn| {
            let database = opener.create_database::<Bytes, Bytes>(txn, Some(database))?;
            for (index, size) in sizes.iter().enumerate() {
                database.put(txn, &index.to_be_bytes(), &vec![7; *size])?;
            }
            for index in sizes.len() - deleted..sizes.len() {
                database.delete(txn, &index.to_be_bytes())?;
            }
            heed::Result::Ok(CommitOrAbort::<_, ()>::Commit(()))
        })
        .unwrap();
    }

    /// A store of several commits, closed.
    fn store() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let env = open(dir.path());
        for _ in 0..5 {
            commit(&env, "documents", &[100, 5_000, 100_000], 0);
        }
        dir
    }

    fn data_file(dir: &tempfile::TempDir) -> File {
        File::options().read(true).write(true).open(dir.path().join("data.mdb")).unwrap()
    }

    fn bytes_of(dir: &tempfile::TempDir) -> u64 {
        data_file(dir).metadata().unwrap().len()
    }

    fn assert_corrupt(result: Result<Found>, text: &str) {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Corrupt(_)), "{error}");
        assert!(error.to_string().contains(text), "{error}");
    }

    #[test]
    fn a_sound_store_passes_with_its_last_transaction() {
        let dir = store();
        for others_alive in [false, true] {
            let found = check_data_file(dir.path(), true, others_alive).unwrap();
            let Found::Store { map_bytes_needed, last_txn } = found else { panic!("{found:?}") };
            assert_eq!(last_txn, 5);
            assert!(map_bytes_needed > 100_000 && map_bytes_needed <= bytes_of(&dir));
        }
    }

    #[test]
    fn a_missing_or_empty_data_file_is_nothing_without_a_marker_and_corrupt_with_one() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(check_data_file(dir.path(), false, false).unwrap(), Found::Nothing);
        assert_corrupt(check_data_file(dir.path(), true, false), "missing or empty");
        File::create(dir.path().join("data.mdb")).unwrap();
        assert_eq!(check_data_file(dir.path(), false, false).unwrap(), Found::Nothing);
        assert_corrupt(check_data_file(dir.path(), true, true), "missing or empty");
    }

    #[test]
    fn an_announced_creation_is_begun_anew_whatever_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data.mdb");
        let noise: Vec<u8> = (0..40_000u32).map(|n| (n * n % 251) as u8).collect();
        std::fs::write(&data, &noise).unwrap();
        assert_corrupt(check_data_file(dir.path(), false, false), "without commonhold.json");
        marker::announce(dir.path()).unwrap();
        assert_corrupt(check_data_file(dir.path(), true, false), "");
        assert_eq!(std::fs::read(&data).unwrap(), noise);
        assert_eq!(check_data_file(dir.path(), false, false).unwrap(), Found::Nothing);
        assert_eq!(std::fs::metadata(&data).unwrap().len(), 0);
    }

    #[test]
    fn an_interrupted_creation_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path()));
        assert_eq!(check_data_file(dir.path(), false, false).unwrap(), Found::Nothing);
        for _ in 0..MAX_CREATION_TXN {
            commit(&open(dir.path()), "\u{1}meta", &[100], 0);
            assert_eq!(check_data_file(dir.path(), false, false).unwrap(), Found::Nothing);
        }
        commit(&open(dir.path()), "\u{1}meta", &[100], 0);
        assert_corrupt(check_data_file(dir.path(), false, false), "without commonhold.json");
    }

    #[test]
    fn meta_pages_that_never_reached_the_disk_are_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("data.mdb"), [0; 8192]).unwrap();
        assert_eq!(check_data_file(dir.path(), false, false).unwrap(), Found::Nothing);
        commit(&open(dir.path()), "\u{1}meta", &[100], 0);
    }

    #[test]
    fn the_data_file_of_another_program_is_refused_and_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        commit(&open(dir.path()), "theirs", &[100], 0);
        let before = std::fs::read(dir.path().join("data.mdb")).unwrap();
        assert_corrupt(check_data_file(dir.path(), false, false), "belongs to another program");
        assert_eq!(std::fs::read(dir.path().join("data.mdb")).unwrap(), before);
        std::fs::write(dir.path().join("data.mdb"), "no LMDB file").unwrap();
        assert_corrupt(check_data_file(dir.path(), false, false), "without commonhold.json");
    }

    #[test]
    fn a_damaged_meta_page_is_found_whichever_it_is() {
        let last_page = 120;
        let second = newest_meta(&data_file(&store()), 1).unwrap().page_bytes;
        for page in [0, second] {
            // Offsets in the file: the page's header has 16 bytes.
            for (at, bytes) in [
                (10, vec![0, 0]),                       // flags of the page
                (16, vec![0; 4]),                       // magic number
                (20, vec![9]),                          // version
                (16 + 24, vec![1]),                     // page size
                (16 + 28, vec![1]),                     // flags
                (16 + 72 + 40, vec![255, 255, 255, 0]), // root of the main tree
                (16 + last_page, vec![0; 8]),           // last page
                (16 + last_page, vec![255; 7]),         // last page
                (0, vec![0; 152]),
            ] {
                let dir = store();
                data_file(&dir).write_all_at(&bytes, page + at).unwrap();
                assert_corrupt(check_data_file(dir.path(), true, false), "meta page");
            }
        }
    }

    /// Reads every byte of the documents that [`store`] wrote, through the map.
    fn assert_intact(dir: &Path) {
        let env = open(dir);
        let txn = env.clone().static_read_txn().unwrap();
        env.open_databases_and_commit(txn, |opener, txn| {
            let database = opener.open_database::<Bytes, Bytes>(txn, Some("documents"))?.unwrap();
            let values = database.iter(txn)?.map(|entry| entry.unwrap().1);
            let lengths: Vec<_> =
                values.inspect(|v| assert!(v.iter().all(|b| *b == 7))).map(<[u8]>::len).collect();
            assert_eq!(lengths, [100, 5_000, 100_000]);
            heed::Result::Ok(CommitOrAbort::<_, ()>::Commit(()))
        })
        .unwrap();
    }

    #[test]
    fn a_file_cut_to_any_length_is_refused_unless_only_free_pages_are_gone() {
        let whole = store();
        let file = std::fs::read(whole.path().join("data.mdb")).unwrap();
        let mut refused = 0;
        let lengths: Vec<_> =
            (0..file.len()).step_by(1000).chain([1, 4096, 8191, 8192, file.len() - 1]).collect();
        for bytes in &lengths {
            let dir = tempfile::tempdir().unwrap();
            let cut = file.get(..*bytes).unwrap();
            std::fs::write(dir.path().join("data.mdb"), cut).unwrap();
            match check_data_file(dir.path(), true, false) {
                Ok(_) => assert_intact(dir.path()),
                result => {
                    assert_corrupt(result, "");
                    refused += 1;
                }
            }
        }
        assert!(refused > lengths.len() / 2, "{refused} of {}", lengths.len());
    }

    #[test]
    fn pages_that_were_given_back_before_they_were_written_may_be_missing() {
        let dir = store();
        // The second value is larger than all free pages, so it lies at the end of the file.
        commit(&open(dir.path()), "documents", &[10, 40_000_000], 1);
        let short = bytes_of(&dir);
        let found = check_data_file(dir.path(), true, false).unwrap();
        let Found::Store { map_bytes_needed, .. } = found else { panic!("{found:?}") };
        assert!(short < map_bytes_needed, "{short} {map_bytes_needed}: the test is void");
        assert_eq!(bytes_of(&dir), map_bytes_needed);
        commit(&open(dir.path()), "documents", &[50_000_000], 0);
    }

    #[test]
    fn the_length_is_left_alone_while_others_are_alive() {
        let dir = store();
        commit(&open(dir.path()), "documents", &[10, 40_000_000], 1);
        let short = bytes_of(&dir);
        check_data_file(dir.path(), true, true).unwrap();
        assert_eq!(bytes_of(&dir), short);
    }

    #[test]
    fn random_bytes_never_do_worse_than_an_error() {
        let whole = store();
        let file = std::fs::read(whole.path().join("data.mdb")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let seed = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64 | 1;
        println!("seed {seed}");
        let mut state = seed;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state as usize
        };
        for _ in 0..300 {
            let mut bytes = file.clone();
            for _ in 0..1 + random() % 20 {
                let at = random() % 9000.min(bytes.len());
                *bytes.get_mut(at).unwrap() = random() as u8;
            }
            bytes.truncate(random() % bytes.len());
            std::fs::write(dir.path().join("data.mdb"), &bytes).unwrap();
            let _ = check_data_file(dir.path(), true, false);
            let _ = check_data_file(dir.path(), false, false);
        }
    }

    #[test]
    fn the_lock_file_is_written_in_full_and_lmdb_takes_it() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        preallocate_lock_file(dir.path(), 1024, false).unwrap();
        let path = dir.path().join("lock.mdb");
        let metadata = std::fs::metadata(&path).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o600);
        assert!(metadata.len() >= 1024 * 64 && metadata.blocks() * 512 >= metadata.len());
        let env = open(dir.path());
        assert!(env.info().maximum_number_of_readers >= 1024);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), metadata.len());
    }

    #[test]
    fn a_short_lock_file_is_filled_up_only_when_nobody_uses_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock.mdb");
        std::fs::write(&path, "short").unwrap();
        preallocate_lock_file(dir.path(), 1024, true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"short");
        preallocate_lock_file(dir.path(), 1024, false).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(bytes.starts_with(b"short") && bytes.len() >= 65536);
        preallocate_lock_file(dir.path(), 126, false).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "a longer file is left alone");
    }
}
