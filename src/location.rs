//! Where a store lies, and whether the place is private to its user.
//!
//! The checks go by path, because LMDB opens by path. Between a check and LMDB's own open, only
//! somebody who may rename entries of the directory or of its parents could put something else
//! there: the user, root, or a user to whom a parent directory was left open for writing (without
//! the sticky bit). The first two could change the store anyway; against the third, only a store
//! below directories that belong to its user helps, as the default one is.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The environment variable that names the store where no path is given.
pub const PATH_VARIABLE: &str = "COMMONHOLD_PATH";

/// The store of a user who names none: in the data directory of the platform.
///
/// # Errors
/// [`Error::InvalidOption`] where the system knows no home directory.
pub fn default_path() -> Result<PathBuf> {
    data_directory().map(|directory| directory.join("commonhold").join("store")).ok_or_else(|| {
        Error::InvalidOption(format!(
            "this user has no home directory to keep the default store in: set {PATH_VARIABLE} \
             or pass a path"
        ))
    })
}

/// The absolute path of the store: the one given, else `$COMMONHOLD_PATH`, else the default.
///
/// # Errors
/// [`Error::InvalidOption`] for an empty path, or where there is no default.
pub fn resolve(path: Option<&Path>) -> Result<PathBuf> {
    let from_environment = || std::env::var_os(PATH_VARIABLE).filter(|value| !value.is_empty());
    match path.map(Path::to_path_buf).or_else(|| from_environment().map(PathBuf::from)) {
        Some(path) => std::path::absolute(&path)
            .map_err(|error| Error::InvalidOption(format!("path {path:?}: {error}"))),
        None => default_path(),
    }
}

/// Creates the directory (0700, parents too) when asked to, follows links, and refuses a place
/// that other users may change. Returns the path without links.
///
/// # Errors
/// [`Error::NotFound`], [`Error::UnsafePath`], or [`Error::InvalidOption`] where a file is there.
pub fn prepare_directory(path: &Path, create: bool) -> Result<PathBuf> {
    let no_directory =
        || Error::InvalidOption(format!("path {path:?} is a file: name a directory"));
    if create {
        create_private_directory(path).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists | ErrorKind::NotADirectory => no_directory(),
            _ => Error::io(format!("could not create {path:?}"), error),
        })?;
    }
    let path = fs::canonicalize(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => Error::NotFound(path.to_path_buf()),
        ErrorKind::NotADirectory => no_directory(),
        _ => Error::io(format!("could not look up {path:?}"), error),
    })?;
    let metadata = fs::symlink_metadata(&path)
        .map_err(|error| Error::io(format!("could not look up {path:?}"), error))?;
    if !metadata.is_dir() {
        return Err(no_directory());
    }
    refuse_shared(&path, &metadata)?;
    Ok(path)
}

/// Creates a directory, and its parents where they are missing, for this user alone. One that
/// exists keeps its mode.
pub(crate) fn create_private_directory(path: &Path) -> std::io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Refuses a file of the store that is not a regular file of this user's alone. A missing file
/// passes.
///
/// # Errors
/// [`Error::UnsafePath`] with what to do.
pub fn check_file(path: &Path) -> Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        result => {
            result.map_err(|error| Error::io(format!("could not look up {path:?}"), error))?
        }
    };
    check_metadata(path, &metadata)
}

/// Opens a file of the store for reading and writing, creating it (0600) where it is missing.
/// A symbolic link is never followed.
///
/// # Errors
/// [`Error::UnsafePath`] as of [`check_file`].
pub fn create_private_file(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        // The standard library adds O_CLOEXEC itself.
        options.mode(0o600).custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    }
    let file = options.open(path).map_err(|error| match check_file(path) {
        Err(unsafe_path @ Error::UnsafePath { .. }) => unsafe_path,
        _ => Error::io(format!("could not open {path:?}"), error),
    })?;
    let metadata =
        file.metadata().map_err(|error| Error::io(format!("could not look up {path:?}"), error))?;
    check_metadata(path, &metadata)?;
    Ok(file)
}

fn check_metadata(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    if !metadata.is_file() {
        let reason = "it is not a regular file: remove it, or name another directory";
        return Err(Error::UnsafePath { path: path.into(), reason: reason.into() });
    }
    refuse_shared(path, metadata)
}

/// Refuses what belongs to another user, root's included and also for root: whoever owns a store
/// could replace its pages under a process with more rights.
#[cfg(unix)]
fn refuse_shared(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    use std::os::unix::fs::MetadataExt;
    let own = rustix::process::geteuid().as_raw();
    let reason = if metadata.uid() != own {
        format!(
            "it belongs to user {}, this process runs as user {own}: run as its owner, or name a \
             directory of your own",
            metadata.uid()
        )
    } else if metadata.mode() & 0o022 != 0 {
        format!(
            "other users may write to it (mode {:04o}): run chmod go-w {}",
            metadata.mode() & 0o7777,
            path.display()
        )
    } else {
        return Ok(());
    };
    Err(Error::UnsafePath { path: path.into(), reason })
}

/// On Windows the data directory is private by its access list, which this package leaves alone.
#[cfg(not(unix))]
fn refuse_shared(_path: &Path, _metadata: &fs::Metadata) -> Result<()> {
    Ok(())
}

#[cfg(windows)]
fn data_directory() -> Option<PathBuf> {
    absolute_variable("LOCALAPPDATA")
        .or_else(|| home().map(|home| home.join("AppData").join("Local")))
}

#[cfg(target_os = "macos")]
fn data_directory() -> Option<PathBuf> {
    home().map(|home| home.join("Library").join("Application Support"))
}

#[cfg(not(any(windows, target_os = "macos")))]
fn data_directory() -> Option<PathBuf> {
    // The XDG specification: a relative path there is invalid and to be ignored.
    absolute_variable("XDG_DATA_HOME").or_else(|| home().map(|home| home.join(".local/share")))
}

#[cfg(not(target_os = "macos"))]
fn absolute_variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// A relative home (an empty `$HOME`) would make the store depend on the working directory.
fn home() -> Option<PathBuf> {
    std::env::home_dir().filter(|home| home.is_absolute())
}
