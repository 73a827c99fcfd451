//! Consistent copies of a store that is in use.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use heed::CompactionOption;

use crate::deadline::Deadline;
use crate::environment::{Environment, data_file, lmdb_error};
use crate::error::{Error, Result};
use crate::limits::{DEFAULT_MAP_BYTES, MAX_READERS};
use crate::location;
use crate::marker::{self, Marker};
use crate::preflight;
use crate::store::Store;

const META_PAGES: u64 = 2;

impl Store {
    /// Copies the store into a new or empty directory while others read and write. With `compact`
    /// free pages are left out, which takes longer.
    ///
    /// The copy is a store of its own: it has a new identity, and its versions go on far above
    /// those of the original, so that nothing that remembers a version mistakes one for the other.
    ///
    /// The copy pins a snapshot while it is made: the original grows by what is written meanwhile.
    pub fn backup(&self, path: &Path, compact: bool) -> Result<()> {
        self.session.check_open()?;
        let path = std::path::absolute(path).map_err(|error| Error::io("bad path", error))?;
        let dir = location::prepare_directory(&path, true)?;
        let mut entries = dir.read_dir().map_err(|error| Error::io("could not read", error))?;
        if entries.next().is_some() {
            return Err(Error::InvalidOption(format!(
                "{} is not empty: back up into a new or empty directory",
                dir.display()
            )));
        }
        self.copy_into(&dir, compact).inspect_err(|_| {
            for file in ["data.mdb", "lock.mdb", "commonhold.json"] {
                // Best effort: the error that matters is the one reported.
                let _ = std::fs::remove_file(dir.join(file));
            }
        })
    }

    fn copy_into(&self, dir: &Path, compact: bool) -> Result<()> {
        let mut file = location::create_private_file(&data_file(dir))?;
        // Pinned, so that the environment is not recycled under the copy.
        let pinned = self.session.pin()?;
        let last_version = pinned.environment.version_of(pinned.environment.newest_txn());
        if compact {
            pinned
                .environment
                .lmdb
                .copy_to_file(&mut file, CompactionOption::Enabled)
                .map_err(|error| lmdb_error("copy the store", error))?;
        } else {
            self.copy_pages(&pinned.environment, &mut file)?;
        }
        drop(pinned);
        drop(file);
        preflight::preallocate_lock_file(dir, MAX_READERS, false)?;
        let marker = Marker::new(marker::new_store_id()?);
        Environment::adopt_copy(dir, DEFAULT_MAP_BYTES, &marker.store_id, last_version)?;
        // LMDB makes a new one when the copy is opened.
        std::fs::remove_file(dir.join("lock.mdb")).map_err(|error| Error::io("remove", error))?;
        marker::write(dir, &marker)
    }

    /// Copies all pages of the file. LMDB's own way of that takes its lock of writers without
    /// passing the gate, and waits for a stopped writer without end.
    fn copy_pages(&self, environment: &Environment, copy: &mut File) -> Result<()> {
        let failed = |error| Error::io("could not copy the store", error);
        let shared = &self.session.shared;
        shared.check_in_place()?;
        let mut file = File::open(data_file(shared.dir())).map_err(failed)?;
        let gate = shared.gate()?;
        let passage = gate.pass(&Deadline::after(self.session.busy_timeout))?;
        // As long as it lives nobody writes to a page that it sees. The meta pages it does not
        // protect are copied while nobody writes at all.
        let snapshot =
            environment.begin_read().map_err(|error| lmdb_error("begin a read", error))?;
        let stat = environment.changes.stat(&snapshot);
        let page_bytes: u64 = stat.map_err(|error| lmdb_error("read", error))?.page_size.into();
        let pages = environment.lmdb.info().last_page_number as u64 + 1;
        let meta_bytes = META_PAGES * page_bytes;
        io::copy(&mut (&mut file).take(meta_bytes), copy).map_err(failed)?;
        drop(passage);
        let rest = (pages * page_bytes).saturating_sub(meta_bytes);
        io::copy(&mut file.take(rest), copy).map_err(failed)?;
        Ok(())
    }
}
