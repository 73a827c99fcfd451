//! The files of a store beside its pages: are they there, private, and of one store?

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use super::report::{Findings, Problem, ProblemKind};
use crate::environment::data_file;
use crate::error::{Error, Result};
use crate::location::{check_directory, check_file};
use crate::marker::{self, Marker};

/// Files that a process which opens the store writes to, or trusts.
const FILES: [&str; 7] =
    ["data.mdb", "lock.mdb", "commonhold.json", "open.lock", "writer.lock", "turn.lock", "wake"];

/// What the files say.
pub(super) struct Files {
    /// `None` where it is missing or empty.
    pub data: Option<File>,
    /// `None` where it is missing or ill-formed.
    pub marker: Option<Marker>,
    /// Whether this version knows the format.
    pub is_known_format: bool,
}

/// Opens the files, for reading only.
///
/// # Errors
/// [`Error::NotFound`] where there is no store, [`Error::Io`] where the system refuses to read.
pub(super) fn open(dir: &Path, findings: &mut Findings) -> Result<Files> {
    check_private(dir, findings);
    let mut is_known_format = true;
    let found = marker::read(dir);
    let has_marker = !matches!(found, Ok(None));
    let marker = match found {
        Ok(marker) => marker,
        Err(Error::Corrupt(what)) => {
            findings.add(Problem::new(ProblemKind::Marker, what));
            None
        }
        Err(error @ Error::FormatVersion(_)) => {
            is_known_format = false;
            findings.add(Problem::new(ProblemKind::FormatVersion, error.to_string()));
            None
        }
        // It has been reported.
        Err(Error::UnsafePath { .. }) => None,
        Err(error) => return Err(error),
    };
    let data = open_data(dir)?;
    match (&data, has_marker) {
        (None, false) => return Err(Error::NotFound(dir.to_owned())),
        (None, true) => missing(findings, "data.mdb is missing or empty"),
        (Some(_), false) => missing(findings, "commonhold.json is missing"),
        (Some(_), true) => {}
    }
    Ok(Files { data, marker, is_known_format })
}

fn missing(findings: &mut Findings, what: &str) {
    findings.add(Problem::new(ProblemKind::FileMissing, what));
}

fn open_data(dir: &Path) -> Result<Option<File>> {
    let failed = |error| Error::io("could not read data.mdb", error);
    match File::open(data_file(dir)) {
        Ok(file) => {
            let metadata = file.metadata().map_err(failed)?;
            Ok(Some(file).filter(|_| metadata.is_file() && metadata.len() > 0))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// What [`Store::open`](crate::Store::open) refuses because others could change it.
fn check_private(dir: &Path, findings: &mut Findings) {
    let files = FILES.map(|name| check_file(&dir.join(name)));
    let directories = [check_directory(dir), check_directory(&dir.join("processes"))];
    for refused in directories.into_iter().chain(files).filter_map(std::result::Result::err) {
        findings.add(Problem::new(ProblemKind::UnsafePath, refused.to_string()));
    }
}
