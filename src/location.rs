//! Where a store lies, and whether the place is private to its user.
//!
//! The checks go by path, because LMDB opens by path. Between a check and LMDB's own open, only
//! somebody who may rename entries of the directory or of its parents could put something else
//! there: the user, root, or a user to whom a parent directory was left open for writing (without
//! the sticky bit). The first two could change the store anyway; against the third, only a store
//! below directories that belong to its user helps, as the default one is.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

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
/// [`Error::InvalidOption`] for an empty path, one that begins with `~`, or where there is no
/// default.
pub fn resolve(path: Option<&Path>) -> Result<PathBuf> {
    let from_environment = || std::env::var_os(PATH_VARIABLE).filter(|value| !value.is_empty());
    match path.map(Path::to_path_buf).or_else(|| from_environment().map(PathBuf::from)) {
        Some(path) if path.components().next() == Some(Component::Normal("~".as_ref())) => {
            Err(Error::InvalidOption(format!(
                "path {path:?}: only a shell knows what ~ is; take os.homedir(), or ./~ where a \
                 directory of that name is meant"
            )))
        }
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

/// Refuses a directory without a store that holds something else: a store among the sources of a
/// project is a mistake, and a backup or a clean-up of one would take the other with it. Hidden
/// files do not count, nor do the beginnings of a store whose creation was interrupted, which has
/// its lock first.
///
/// # Errors
/// [`Error::InvalidOption`] with a file that is there.
pub(crate) fn refuse_foreign_directory(dir: &Path) -> Result<()> {
    let failed = |error| Error::io(format!("could not list {dir:?}"), error);
    let mut foreign = None;
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let text = name.to_string_lossy();
        if matches!(&*text, "open.lock" | "data.mdb" | "lock.mdb") {
            return Ok(());
        }
        let is_ours = text == "processes" || text.starts_with("commonhold.json");
        if !is_ours && !text.starts_with('.') && text != "lost+found" {
            foreign = Some(name);
        }
    }
    foreign.map_or(Ok(()), |name| {
        Err(Error::InvalidOption(format!(
            "path {dir:?} has {name:?} in it and no store: name a directory of its own"
        )))
    })
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

/// Refuses a directory inside the store that is a link, something else, or not of this user's alone.
/// A missing one passes.
///
/// # Errors
/// [`Error::UnsafePath`] with what to do.
pub(crate) fn check_directory(path: &Path) -> Result<()> {
    match metadata_if_there(path)? {
        Some(metadata) if metadata.is_dir() => refuse_shared(path, &metadata),
        Some(_) => {
            let reason = "it is not a directory: remove it, or name another directory";
            Err(Error::UnsafePath { path: path.into(), reason: reason.into() })
        }
        None => Ok(()),
    }
}

/// Of the thing itself, where it is a link.
fn metadata_if_there(path: &Path) -> Result<Option<fs::Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(format!("could not look up {path:?}"), error)),
    }
}

/// Refuses a file of the store that is not a regular file of this user's alone. A missing file
/// passes.
///
/// # Errors
/// [`Error::UnsafePath`] with what to do.
pub fn check_file(path: &Path) -> Result<()> {
    metadata_if_there(path)?.map_or(Ok(()), |metadata| check_metadata(path, &metadata))
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
    let (problem, cure) = if metadata.uid() != own {
        let owner = metadata.uid();
        let problem = format!("it belongs to user {owner}, this process runs as user {own}");
        (problem, "run as its owner, or name a directory of your own".into())
    } else if metadata.mode() & 0o022 != 0 {
        let problem =
            format!("other users may write to it (mode {:04o})", metadata.mode() & 0o7777);
        (problem, format!("run chmod go-w {}", path.display()))
    } else {
        return Ok(());
    };
    // The system's own directories must stay as they are: without the rights of others on /tmp,
    // much else on the machine would break.
    let is_for_everybody =
        metadata.is_dir() && (metadata.mode() & 0o1000 != 0 || path.parent().is_none());
    let cure = if is_for_everybody { "name a directory of your own below it".into() } else { cure };
    Err(Error::UnsafePath { path: path.into(), reason: format!("{problem}: {cure}") })
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

/// What tells a file from one that has taken its place; `None` where the platform does not say.
pub(crate) fn identity(path: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs::Permissions;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    const OTHER_USER: u32 = 65_534;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn give_away(path: &Path) -> bool {
        let other = Some(rustix::fs::Uid::from_raw(OTHER_USER));
        let given =
            rustix::process::geteuid().is_root() && rustix::fs::chown(path, other, None).is_ok();
        if !given {
            println!("skipped: only root can give a file to another user");
        }
        given
    }

    fn assert_unsafe<T: std::fmt::Debug>(result: Result<T>, advice: &str) {
        let error = result.unwrap_err();
        assert!(matches!(error, Error::UnsafePath { .. }), "{error}");
        assert!(error.to_string().contains(advice), "{error}");
    }

    #[test]
    fn the_default_store_lies_below_the_data_directory() {
        let path = default_path().unwrap();
        assert!(path.is_absolute() && path.ends_with("commonhold/store"));
    }

    #[test]
    fn a_given_path_becomes_absolute() {
        let path = resolve(Some(Path::new("some/where"))).unwrap();
        assert_eq!(path, std::env::current_dir().unwrap().join("some/where"));
        assert!(matches!(resolve(Some(Path::new(""))), Err(Error::InvalidOption(_))));
    }

    #[test]
    fn a_tilde_is_not_taken_for_a_directory() {
        for path in ["~", "~/agents/pages"] {
            let error = resolve(Some(Path::new(path))).unwrap_err();
            assert!(matches!(error, Error::InvalidOption(_)));
            assert!(error.to_string().contains("os.homedir()"), "{error}");
        }
        for path in ["./~/pages", "pages/~", "/~", "~pages"] {
            assert!(resolve(Some(Path::new(path))).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_directory_with_something_else_in_it_is_refused_for_a_new_store() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".DS_Store", ".gitkeep", "lost+found"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        refuse_foreign_directory(dir.path()).unwrap();
        fs::write(dir.path().join("index.js"), "").unwrap();
        let error = refuse_foreign_directory(dir.path()).unwrap_err();
        assert!(matches!(error, Error::InvalidOption(_)));
        assert!(error.to_string().contains("name a directory of its own"), "{error}");
        assert!(error.to_string().contains("index.js"), "{error}");
    }

    #[test]
    fn an_interrupted_creation_is_no_foreign_directory() {
        let dir = tempfile::tempdir().unwrap();
        let steps = ["open.lock", "processes", "lock.mdb", "data.mdb", "commonhold.json.new"];
        for name in steps {
            fs::write(dir.path().join(name), "").unwrap();
            refuse_foreign_directory(dir.path()).unwrap();
        }
    }

    #[test]
    fn a_new_directory_is_private_with_its_parents() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a").join("b");
        assert!(matches!(prepare_directory(&path, false), Err(Error::NotFound(_))));
        let prepared = prepare_directory(&path, true).unwrap();
        assert_eq!(prepared, fs::canonicalize(&path).unwrap());
        assert_eq!((mode_of(&path), mode_of(&dir.path().join("a"))), (0o700, 0o700));
    }

    #[test]
    fn a_readable_directory_of_ones_own_is_used_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        prepare_directory(dir.path(), true).unwrap();
        assert_eq!(mode_of(dir.path()), 0o755);
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused_with_the_cure() {
        let below = "name a directory of your own below it";
        for (mode, cure) in [(0o720, "chmod go-w"), (0o702, "chmod go-w"), (0o1777, below)] {
            let dir = tempfile::tempdir().unwrap();
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
            assert_unsafe(prepare_directory(dir.path(), true), cure);
            assert_eq!(mode_of(dir.path()), mode, "nothing was changed");
        }
    }

    #[test]
    fn a_directory_of_another_user_is_refused_also_to_root_and_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let foreign = dir.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        if give_away(&foreign) {
            assert_unsafe(prepare_directory(&foreign, true), "belongs to user 65534");
            symlink(&foreign, dir.path().join("link")).unwrap();
            assert_unsafe(prepare_directory(&dir.path().join("link"), true), "65534");
        }
    }

    #[test]
    fn a_link_to_ones_own_directory_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("target");
        fs::create_dir(&target).unwrap();
        let link = dir.path().join("link");
        symlink(&target, &link).unwrap();
        let prepared = prepare_directory(&link, true).unwrap();
        assert_eq!(prepared, fs::canonicalize(&target).unwrap());
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_an_invalid_option() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below")] {
            for create in [true, false] {
                let result = prepare_directory(&path, create);
                assert!(matches!(result, Err(Error::InvalidOption(_))), "{result:?}");
            }
        }
    }

    #[test]
    fn a_link_to_nowhere_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink(dir.path().join("nowhere"), &link).unwrap();
        assert!(matches!(prepare_directory(&link, false), Err(Error::NotFound(_))));
    }

    #[test]
    fn private_files_are_created_and_opened_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert!(check_file(&path).is_ok(), "a missing file passes");
        create_private_file(&path).unwrap();
        assert_eq!(mode_of(&path), 0o600);
        fs::write(&path, "kept").unwrap();
        create_private_file(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"kept");
        assert!(check_file(&path).is_ok());
    }

    #[test]
    fn links_directories_and_shared_files_in_a_store_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        symlink(dir.path().join("nowhere"), &link).unwrap();
        let shared = dir.path().join("shared");
        fs::write(&shared, "").unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o660)).unwrap();
        for (path, advice) in
            [(&link, "remove it"), (&dir.path().to_path_buf(), "remove it"), (&shared, "chmod")]
        {
            assert_unsafe(check_file(path), advice);
            assert_unsafe(create_private_file(path), advice);
        }
        assert!(!dir.path().join("nowhere").exists(), "the link was not followed");
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        if give_away(&path) {
            assert_unsafe(check_file(&path), "65534");
            assert_unsafe(create_private_file(&path), "65534");
        }
    }
}
