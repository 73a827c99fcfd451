//! The marker file: it says that a store exists here, and which.
//!
//! Without it, a data file cut to zero bytes would silently become a new, empty store
//! (hazard 17). It is written last when a store is created, and replaced as a whole, so that it
//! is there in full or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::location::{check_file, create_private_file};

/// The newest format of a store that this version reads, and the one that it writes.
pub const FORMAT: u32 = 1;

/// What the marker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// Format of the store.
    pub format: u32,
    /// Identity of the store, 128 random bits in hexadecimal.
    pub store_id: String,
    /// When the store was created, in ISO 8601 and UTC.
    pub created_at: String,
}

impl Marker {
    /// The marker of a store that is created now, in the format of this version.
    pub fn new(store_id: String) -> Marker {
        Marker { format: FORMAT, store_id, created_at: iso_time(SystemTime::now()) }
    }
}

/// Path of the marker of a store.
pub fn path(dir: &Path) -> PathBuf {
    dir.join("commonhold.json")
}

/// Reads the marker, or `None` where there is none.
///
/// # Errors
/// [`Error::Corrupt`] where it is ill-formed, [`Error::FormatVersion`] where a newer version of
/// this package wrote it.
pub fn read(dir: &Path) -> Result<Option<Marker>> {
    let path = path(dir);
    check_file(&path)?;
    match fs::read(&path) {
        Ok(bytes) => parse(&bytes).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("could not read commonhold.json", error)),
    }
}

/// Writes the marker so that it survives a power cut once this returns.
pub fn write(dir: &Path, marker: &Marker) -> Result<()> {
    let json = json!({
        "format": marker.format,
        "storeId": marker.store_id,
        "createdAt": marker.created_at,
        "writtenBy": env!("CARGO_PKG_VERSION"),
    });
    replace(dir, format!("{json:#}\n").as_bytes())
}

/// What stands in the place of the next marker while a store is created.
const CREATING: &[u8] = b"a store is being created here\n";

/// Says, so that it survives a power cut, that what lies here without a marker is the beginning of
/// a store. Before the first sync the disk may hold any part of it, which nothing could recognise.
pub(crate) fn announce(dir: &Path) -> Result<()> {
    write_synced(create_private_file(&temporary_path(dir))?, CREATING)
        .and_then(|()| sync_directory(dir))
        .map_err(|error| Error::io("could not write commonhold.json.new", error))
}

/// Whether a creation began here and wrote no marker.
pub(crate) fn is_announced(dir: &Path) -> Result<bool> {
    let path = temporary_path(dir);
    check_file(&path)?;
    Ok(fs::read(path).is_ok_and(|bytes| bytes == CREATING))
}

fn temporary_path(dir: &Path) -> PathBuf {
    dir.join("commonhold.json.new")
}

fn write_synced(mut file: File, bytes: &[u8]) -> std::io::Result<()> {
    file.set_len(0)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn replace(dir: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary_path(dir);
    write_synced(create_private_file(&temporary)?, bytes)
        .and_then(|()| fs::rename(&temporary, path(dir)))
        .map_err(|error| Error::io("could not write commonhold.json", error))?;
    make_durable(dir)
}

/// Makes the marker survive a power cut under its name, and the store under its own. The process
/// that created it may have been killed before it had done so.
pub(crate) fn make_durable(dir: &Path) -> Result<()> {
    sync_directory(dir).map_err(|error| Error::io("could not sync the directory", error))?;
    sync_parents(dir);
    Ok(())
}

/// Makes the directories durable that were made for the store: the name of each is an entry of the
/// one above. A parent that this user may not read was not made by him, and one that cannot be
/// synced is on another, perhaps read-only, filesystem; a sick disk has shown before.
fn sync_parents(dir: &Path) {
    for parent in dir.ancestors().skip(1) {
        let _ = sync_directory(parent);
    }
}

/// Makes a rename durable. Windows has no such call; NTFS logs the rename itself.
pub(crate) fn sync_directory(dir: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(dir)?.sync_all() } else { Ok(()) }
}

fn parse(bytes: &[u8]) -> Result<Marker> {
    let json: Value = serde_json::from_slice(bytes)
        .map_err(|error| Error::Corrupt(format!("commonhold.json is ill-formed: {error}")))?;
    let field = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
    let missing = |name: &str| Error::Corrupt(format!("commonhold.json has no {name}"));
    let format = json.get("format").and_then(Value::as_u64).ok_or_else(|| missing("format"))?;
    if format > u64::from(FORMAT) {
        let author =
            field("writtenBy").map_or("a newer version".into(), |v| format!("version {v}"));
        return Err(Error::FormatVersion(format!(
            "the store has format {format}, written by {author} of commonhold; this is version {}, \
             which reads formats up to {FORMAT}: upgrade commonhold",
            env!("CARGO_PKG_VERSION")
        )));
    }
    let store_id = field("storeId").ok_or_else(|| missing("storeId"))?;
    let well_formed = store_id.len() == 32 && store_id.bytes().all(|b| b.is_ascii_hexdigit());
    match u32::try_from(format) {
        Ok(format) if format > 0 && well_formed => {
            let created_at = field("createdAt").ok_or_else(|| missing("createdAt"))?;
            Ok(Marker { format, store_id, created_at })
        }
        _ => Err(Error::Corrupt("commonhold.json has an ill-formed format or storeId".into())),
    }
}

/// A new identity for a store: 128 random bits of the operating system, in hexadecimal.
pub fn new_store_id() -> Result<String> {
    let bits = random_bits().map_err(|error| Error::io("could not get random bits", error))?;
    Ok(format!("{bits:032x}"))
}

#[cfg(unix)]
fn random_bits() -> std::io::Result<u128> {
    let mut bytes = [0; 16];
    std::io::Read::read_exact(&mut File::open("/dev/urandom")?, &mut bytes)?;
    Ok(u128::from_ne_bytes(bytes))
}

/// A fresh thread, because the standard library draws 128 bits from the system for the first
/// `RandomState` of each thread; two hashes under that key carry them.
#[cfg(not(unix))]
fn random_bits() -> std::io::Result<u128> {
    use std::hash::{BuildHasher, RandomState};
    std::thread::spawn(|| {
        let state = RandomState::new();
        (u128::from(state.hash_one(0u64)) << 64) | u128::from(state.hash_one(1u64))
    })
    .join()
    .map_err(|_| std::io::Error::other("the thread that draws random bits panicked"))
}

/// ISO 8601 in UTC with milliseconds, as JavaScript's `toISOString` writes it.
fn iso_time(time: SystemTime) -> String {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = civil_date(since.as_secs() / 86_400);
    let second = since.as_secs() % 86_400;
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let ms = since.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a number of days since 1970, in years that begin in March so that the
/// leap day comes last (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn written(json: &str) -> Result<Option<Marker>> {
        let dir = tempfile::tempdir().unwrap();
        replace(dir.path(), json.as_bytes()).unwrap();
        read(dir.path())
    }

    #[test]
    fn what_is_written_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), None);
        let marker = Marker::new(new_store_id().unwrap());
        write(dir.path(), &marker).unwrap();
        write(dir.path(), &marker).unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(marker));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    #[cfg(unix)]
    fn the_marker_is_private() {
        use std::os::unix::fs::MetadataExt;
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &Marker::new(new_store_id().unwrap())).unwrap();
        assert_eq!(fs::metadata(path(dir.path())).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn an_ill_formed_marker_is_corrupt() {
        let id = "0123456789abcdef0123456789abcdef";
        for json in [
            String::new(),
            "{".into(),
            "[]".into(),
            format!(r#"{{"format":0,"storeId":"{id}","createdAt":""}}"#),
            format!(r#"{{"format":"1","storeId":"{id}","createdAt":""}}"#),
            r#"{"format":1,"storeId":"short","createdAt":""}"#.into(),
            format!(r#"{{"format":1,"storeId":"{id}"}}"#),
        ] {
            assert!(matches!(written(&json), Err(Error::Corrupt(_))), "{json}");
        }
    }

    #[test]
    fn a_newer_format_says_who_wrote_it_and_what_to_do() {
        let error = written(r#"{"format":2,"writtenBy":"9.8.7"}"#).unwrap_err();
        assert!(matches!(error, Error::FormatVersion(_)));
        let text = error.to_string();
        assert!(text.contains("format 2") && text.contains("9.8.7") && text.contains("upgrade"));
    }

    #[test]
    fn fields_of_a_later_version_of_the_same_format_are_ignored() {
        let id = new_store_id().unwrap();
        let json = format!(r#"{{"format":1,"storeId":"{id}","createdAt":"x","more":[1]}}"#);
        assert_eq!(written(&json).unwrap().unwrap().store_id, id);
    }

    #[test]
    fn store_ids_have_32_digits_and_differ() {
        let ids: std::collections::HashSet<_> = (0..100).map(|_| new_store_id().unwrap()).collect();
        assert_eq!(ids.len(), 100);
        assert!(ids.iter().all(|id| id.len() == 32));
    }

    #[test]
    fn times_are_written_as_javascript_writes_them() {
        // Left: Date.parse of the right.
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
            (4_107_542_400_001, "2100-03-01T00:00:00.001Z"),
            (1_795_370_820_123, "2026-11-22T18:07:00.123Z"),
        ] {
            assert_eq!(iso_time(UNIX_EPOCH + Duration::from_millis(ms)), text);
        }
    }
}
