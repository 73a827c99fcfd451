//! Consistent copies of a store that is in use.

use std::path::Path;

use heed::CompactionOption;

use crate::environment::{Environment, data_file, lmdb_error};
use crate::error::{Error, Result};
use crate::limits::{DEFAULT_MAP_BYTES, MAX_READERS};
use crate::location;
use crate::marker::{self, Marker};
use crate::preflight;
use crate::store::Store;

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
        let option = if compact { CompactionOption::Enabled } else { CompactionOption::Disabled };
        pinned
            .environment
            .lmdb
            .copy_to_file(&mut file, option)
            .map_err(|error| lmdb_error("copy the store", error))?;
        drop(pinned);
        drop(file);
        preflight::preallocate_lock_file(dir, MAX_READERS, false)?;
        let marker = Marker::new(marker::new_store_id()?);
        Environment::adopt_copy(dir, DEFAULT_MAP_BYTES, &marker.store_id, last_version)?;
        // LMDB makes a new one when the copy is opened.
        std::fs::remove_file(dir.join("lock.mdb")).map_err(|error| Error::io("remove", error))?;
        marker::write(dir, &marker)
    }
}
