//! Who has the store open: one guard file per process, held under an exclusive flock.
//!
//! A flock belongs to the open file description, unlike the fcntl locks of LMDB, which belong to
//! the process and vanish when anything in it closes lock.mdb (hazard 7). That is why a second
//! copy of this package in the process is refused by the guard file of the first, why a guard
//! file may be opened and closed again anywhere without harm, and why the guard of a killed
//! process frees itself. Nothing here touches lock.mdb.
//!
//! The file's name gives the pid namespace and the pid, `page.rs` what is in it.

mod open_lock;
mod page;

use std::fs::{self, DirEntry, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use self::open_lock::{OpenLock, lock_open};
pub use self::page::SnapshotSlot;
use self::page::{Header, LIBC, PAGE_BYTES, Page, is_ours, now_ms, truncated};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::limits::MAX_AGENT_BYTES;
use crate::location::{check_directory, create_private_directory, create_private_file};

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
/// with another C library, or another layout of guard files, has the store open;
/// [`Error::UnsafePath`] where `processes` is not a directory of this user's alone.
pub fn register(
    dir: &Path,
    agent: &str,
    deadline: &Deadline,
    _open: &OpenLock,
) -> Result<ProcessGuard> {
    let agent = truncated(agent, MAX_AGENT_BYTES);
    let own = (pid_namespace(), std::process::id());
    let directory = dir.join("processes");
    check_directory(&directory)?;
    create_private_directory(&directory)
        .map_err(|error| Error::io("could not create processes", error))?;
    for entry in entries(dir)? {
        match probe(&entry)? {
            None => remove_dead(&entry.path())?,
            Some(live) => refuse_incompatible(own, live)?,
        }
    }
    let path = directory.join(file_name(own.0, own.1));
    let file = create_private_file(&path)?;
    // Waits only for readers that are just asking whether this file is locked.
    if !open_lock::try_until(&file, deadline)
        .map_err(|error| Error::io("could not lock the guard file", error))?
    {
        let (waited_ms, doing) = (deadline.patience_ms(), "looking for dead processes");
        return Err(Error::Busy { waited_ms, doing, holder: None });
    }
    let page = Page::create(&file, agent)
        .map_err(|error| Error::io("could not write the guard file", error))?;
    Ok(ProcessGuard { page: Arc::new(page), path, agent: agent.to_owned(), _file: file })
}

/// The processes that have the store open, this one first.
pub fn live_processes(dir: &Path, own: &ProcessGuard) -> Result<Vec<ProcessInfo>> {
    let now = now_ms();
    let mut processes = vec![ProcessInfo {
        pid: std::process::id(),
        agent: own.agent.clone(),
        oldest_snapshot_ms: age_of_oldest(now, own.page.starts()),
    }];
    for live in live_others(dir, Some(own))? {
        let (Some((_, pid)), Some(header)) = (live.name, live.header) else { continue };
        let oldest_snapshot_ms = age_of_oldest(now, header.starts.into_iter());
        processes.push(ProcessInfo { pid, agent: header.agent, oldest_snapshot_ms });
    }
    Ok(processes)
}

/// The agent of a live process of this machine that has the store open, by its pid.
pub fn agent_of(dir: &Path, pid: u32) -> Result<Option<String>> {
    for entry in entries(dir)? {
        if entry.file_name().to_str() == Some(&file_name(pid_namespace(), pid)) {
            return Ok(probe(&entry)?.and_then(|live| live.header).map(|header| header.agent));
        }
    }
    Ok(None)
}

/// Whether any process but this one has the store open.
pub fn others_alive(dir: &Path, own: Option<&ProcessGuard>) -> Result<bool> {
    live_others(dir, own).map(|live| !live.is_empty())
}

impl ProcessGuard {
    /// Takes a slot to publish the age of a snapshot in.
    pub fn claim_slot(&self) -> SnapshotSlot {
        SnapshotSlot::claim(&self.page)
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

/// A guard file whose process is alive.
struct Live {
    /// Pid namespace and pid, from the file's name.
    name: Option<(u64, u32)>,
    header: Option<Header>,
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

/// The regular files with names of guard files. Anything else there is not ours and left alone, and
/// nothing is looked at through a link: the directory may have come with an archive.
fn entries(dir: &Path) -> Result<Vec<DirEntry>> {
    let failed = |error| Error::io("could not list processes", error);
    let directory = dir.join("processes");
    check_directory(&directory)?;
    let listing = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in listing {
        let entry = entry.map_err(failed)?;
        let is_named_as_ours = parse_name(&entry.file_name().to_string_lossy()).is_some();
        if is_named_as_ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
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

fn parse_name(name: &str) -> Option<(u64, u32)> {
    let (namespace, pid) = name.split_once('-')?;
    let (namespace, pid) = (namespace.parse().ok()?, pid.parse().ok()?);
    (name == file_name(namespace, pid)).then_some((namespace, pid))
}

fn file_name(namespace: u64, pid: u32) -> String {
    format!("{namespace}-{pid}")
}

/// Removes the guard file of a dead process. A file that only has such a name stays.
fn remove_dead(path: &Path) -> Result<()> {
    let removed = match is_ours(path) {
        Ok(true) => fs::remove_file(path),
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(Error::io("could not remove the guard file of a dead process", error))
        }
        _ => Ok(()),
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

fn age_of_oldest(now: u64, starts: impl Iterator<Item = u64>) -> u64 {
    starts.filter(|start| *start != 0).min().map_or(0, |oldest| now.saturating_sub(oldest))
}

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use std::ffi::OsStr;
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::page::LIBC_AT;
    use super::*;
    use crate::error::Holder;

    const CHILD_DIRECTORY: &str = "COMMONHOLD_TEST_GUARD_DIRECTORY";

    fn patience() -> Deadline {
        Deadline::after(Duration::from_secs(60))
    }

    fn registered(dir: &Path) -> Result<ProcessGuard> {
        register(dir, "tester", &patience(), &lock_open(dir, "tester", &patience()).unwrap())
    }

    fn guard_files(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir.join("processes")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// A guard file that is locked as long as the returned file lives.
    fn locked_guard_file(dir: &Path, name: &str, libc: u32) -> File {
        fs::create_dir_all(dir.join("processes")).unwrap();
        let file = create_private_file(&dir.join("processes").join(name)).unwrap();
        file.lock().unwrap();
        Page::create(&file, "somebody").unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &libc.to_ne_bytes(), LIBC_AT as u64)
            .unwrap();
        file
    }

    /// This test binary again, as another process that registers and then waits to be killed.
    fn child_that_registers(dir: &Path, wrapper: &[&str]) -> Child {
        let binary = std::env::current_exe().unwrap();
        let command: Vec<_> = wrapper.iter().map(OsStr::new).chain([binary.as_os_str()]).collect();
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .args(["--exact", "guard::tests::body_of_the_child_process", "--nocapture"])
            .env(CHILD_DIRECTORY, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = String::new();
        let mut stdout = child.stdout.take().unwrap();
        let mut byte = [0];
        while !output.contains("registered\n") {
            assert_eq!(stdout.read(&mut byte).unwrap(), 1, "the child ended early: {output}");
            output.push(char::from(byte[0]));
        }
        // Kept open, because the test harness in the child writes a summary at its end.
        child.stdout = Some(stdout);
        child
    }

    #[test]
    fn body_of_the_child_process() {
        let Some(dir) = std::env::var_os(CHILD_DIRECTORY) else { return };
        let dir = PathBuf::from(dir);
        let open = lock_open(&dir, "child", &patience()).unwrap();
        let guard = register(&dir, "child", &patience(), &open).unwrap();
        drop(open);
        let slot = guard.claim_slot();
        slot.begin();
        println!("registered");
        // Ends when the parent goes, whatever happens to it.
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }

    #[test]
    fn a_process_registers_and_unregisters() {
        let dir = tempfile::tempdir().unwrap();
        let guard = registered(dir.path()).unwrap();
        let expected = format!("{}-{}", pid_namespace(), std::process::id());
        assert_eq!(guard_files(dir.path()), [expected]);
        assert!(!others_alive(dir.path(), Some(&guard)).unwrap());
        assert!(others_alive(dir.path(), None).unwrap());
        drop(guard);
        assert!(guard_files(dir.path()).is_empty());
        assert!(!others_alive(dir.path(), None).unwrap());
    }

    #[test]
    fn a_second_copy_in_one_process_is_refused_and_harms_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let first = registered(dir.path()).unwrap();
        for _ in 0..3 {
            assert!(matches!(registered(dir.path()), Err(Error::DuplicateCopy)));
        }
        // Asking opens and closes our own guard file; the lock must outlive that (hazard 7).
        live_processes(dir.path(), &first).unwrap();
        assert!(others_alive(dir.path(), None).unwrap());
        drop(first);
        assert!(registered(dir.path()).is_ok());
    }

    #[test]
    fn another_pid_namespace_is_refused_by_its_pid() {
        let dir = tempfile::tempdir().unwrap();
        let _other = locked_guard_file(dir.path(), "1-77", LIBC);
        assert!(matches!(registered(dir.path()), Err(Error::PidNamespace { pid: 77 })));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_of_a_real_container_is_refused() {
        // A private mount of /proc, because the child's pid is that of its own namespace.
        let unshare = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
        let possible = Command::new(unshare[0]).args(&unshare[1..]).arg("true").output();
        if !possible.is_ok_and(|output| output.status.success()) {
            return println!("skipped: only root can make a pid namespace here");
        }
        let dir = tempfile::tempdir().unwrap();
        let mut child = child_that_registers(dir.path(), &unshare);
        // A shell may lie between, so its pid there is not known; it is a small one.
        let result = registered(dir.path());
        assert!(matches!(result, Err(Error::PidNamespace { pid: 1..10 })), "{result:?}");
        drop(child.stdin.take());
        child.wait().unwrap();
        assert!(registered(dir.path()).is_ok());
    }

    #[test]
    fn another_c_library_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let name = format!("{}-1", pid_namespace());
        let _other = locked_guard_file(dir.path(), &name, if LIBC == 2 { 1 } else { 2 });
        let error = registered(dir.path()).unwrap_err();
        assert!(matches!(error, Error::FormatVersion(_)));
        assert!(error.to_string().contains("musl") && error.to_string().contains("glibc"));
    }

    #[test]
    fn a_live_file_of_an_unknown_layout_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = locked_guard_file(dir.path(), &format!("{}-1", pid_namespace()), LIBC);
        file.set_len(100).unwrap();
        assert!(matches!(registered(dir.path()), Err(Error::FormatVersion(_))));
    }

    #[test]
    fn what_dead_processes_and_accidents_left_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let processes = dir.path().join("processes");
        fs::create_dir(&processes).unwrap();
        fs::write(processes.join("1-77"), "chguard1, and so on").unwrap();
        fs::write(processes.join("1-78"), "").unwrap();
        fs::write(processes.join("1-79"), [0; PAGE_BYTES]).unwrap();
        // Our own name: the pid of a dead process was given to us.
        let own = file_name(pid_namespace(), std::process::id());
        fs::write(processes.join(&own), "chguard").unwrap();
        let _guard = registered(dir.path()).unwrap();
        assert_eq!(guard_files(dir.path()), [own]);
    }

    #[test]
    fn what_is_not_ours_survives() {
        let dir = tempfile::tempdir().unwrap();
        let processes = dir.path().join("processes");
        fs::create_dir_all(processes.join("1-1")).unwrap();
        let foreign = ["notes.txt", ".bashrc", "garbage", "2026-11", "+1-2", "01-2", "1-2-3"];
        for name in foreign {
            fs::write(processes.join(name), "mine").unwrap();
        }
        let target = dir.path().join("target");
        fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, processes.join("1-3")).unwrap();
        let guard = registered(dir.path()).unwrap();
        assert_eq!(live_processes(dir.path(), &guard).unwrap().len(), 1);
        drop(guard);
        for name in foreign {
            assert_eq!(fs::read(processes.join(name)).unwrap(), b"mine", "{name}");
        }
        assert!(
            target.exists() && processes.join("1-3").exists() && processes.join("1-1").exists()
        );
    }

    #[test]
    fn processes_must_be_a_directory_of_this_user_and_no_link() {
        for name in ["1-77", "thesis.txt"] {
            let (dir, victim) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let file = victim.path().join(name);
            fs::write(&file, "").unwrap();
            std::os::unix::fs::symlink(victim.path(), dir.path().join("processes")).unwrap();
            let refusals = [registered(dir.path()).err(), others_alive(dir.path(), None).err()];
            assert!(refusals.iter().all(|e| matches!(e, Some(Error::UnsafePath { .. }))));
            assert!(file.exists(), "nothing behind the link was touched");
        }
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("processes"), "mine").unwrap();
        assert!(matches!(registered(dir.path()), Err(Error::UnsafePath { .. })));
    }

    #[test]
    fn another_process_is_seen_with_its_name_and_snapshot_until_it_is_killed() {
        let dir = tempfile::tempdir().unwrap();
        let guard = registered(dir.path()).unwrap();
        let mut child = child_that_registers(dir.path(), &[]);
        let processes = live_processes(dir.path(), &guard).unwrap();
        assert_eq!(processes.len(), 2);
        assert_eq!((processes[0].pid, &*processes[0].agent), (std::process::id(), "tester"));
        assert_eq!((processes[1].pid, &*processes[1].agent), (child.id(), "child"));
        assert!(others_alive(dir.path(), Some(&guard)).unwrap());

        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(live_processes(dir.path(), &guard).unwrap().len(), 1);
        assert_eq!(guard_files(dir.path()).len(), 2, "the file of a killed process stays");
        drop(guard);
        let _guard = registered(dir.path()).unwrap();
        assert_eq!(guard_files(dir.path()).len(), 1, "the next one to register removes it");
    }

    #[test]
    fn readers_that_ask_do_not_disturb_a_registration() {
        let dir = tempfile::tempdir().unwrap();
        let registering = AtomicBool::new(true);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while registering.load(Ordering::Relaxed) {
                    others_alive(dir.path(), None).unwrap();
                }
            });
            for _ in 0..500 {
                drop(registered(dir.path()).unwrap());
            }
            registering.store(false, Ordering::Relaxed);
        });
    }

    #[test]
    fn the_age_of_the_oldest_snapshot_is_published() {
        let dir = tempfile::tempdir().unwrap();
        let guard = registered(dir.path()).unwrap();
        let (old, young) = (guard.claim_slot(), guard.claim_slot());
        young.begin();
        old.publish(now_ms() - 60_000);
        let age = live_processes(dir.path(), &guard).unwrap()[0].oldest_snapshot_ms;
        assert!((60_000..120_000).contains(&age), "{age}");
        old.end();
        drop(young);
        assert_eq!(live_processes(dir.path(), &guard).unwrap()[0].oldest_snapshot_ms, 0);
    }

    #[test]
    fn one_process_opens_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let open = |agent, patience_ms| {
            lock_open(dir.path(), agent, &Deadline::after(Duration::from_millis(patience_ms)))
        };
        let first = open("first\nof two", 60_000).unwrap();
        for patience_ms in [0, 10] {
            let Err(Error::Busy { waited_ms, holder, .. }) = open("second", patience_ms) else {
                panic!("two processes open the store");
            };
            assert_eq!(waited_ms, patience_ms);
            let agent = Some("first\nof two".to_owned());
            assert_eq!(holder, Some(Holder { pid: std::process::id(), agent }));
        }
        drop(first);
        drop(open("second", 0).unwrap());
        assert_eq!(fs::read(dir.path().join("open.lock")).unwrap(), b"");
    }

    #[test]
    fn the_agent_of_a_live_process_is_found_by_its_pid() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(agent_of(dir.path(), std::process::id()).unwrap(), None);
        let guard = registered(dir.path()).unwrap();
        let agent = agent_of(dir.path(), std::process::id()).unwrap();
        assert_eq!(agent.as_deref(), Some("tester"));
        assert_eq!(agent_of(dir.path(), u32::MAX).unwrap(), None);
        drop(guard);
        assert_eq!(agent_of(dir.path(), std::process::id()).unwrap(), None);
    }
}
