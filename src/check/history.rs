//! The history: checksums, order, no gap within a commit, nothing beyond floor and newest commit.

use super::report::{CheckFigures, Findings, Problem, ProblemKind};
use super::rows::Named;
use super::tree::{Owner, Pages, Row};
use crate::changes::{FLOOR_KEY, Position, position_of, read_change};
use crate::record::{u64_at, unseal};

/// Bytes of a row before its changes, behind the checksum.
const TIME_BYTES: usize = 8;

pub(super) fn check(
    pages: &mut Pages,
    named: &Named,
    version: Option<u64>,
    findings: &mut Findings,
    figures: &mut CheckFigures,
) {
    let newest = version.unwrap_or(u64::MAX);
    let (mut floor, mut expected) = (0, Position::after(0));
    pages.walk(&named.tree, Owner::Internal(&named.name), findings, &mut |findings, row| {
        let what = if row.key == FLOOR_KEY {
            match read_floor(&row) {
                Some(version) => {
                    (floor, expected) = (version, Position { version, ordinal: 0 });
                    (version > newest).then_some("its floor is above the newest commit")
                }
                None => Some("its floor is damaged"),
            }
        } else {
            figures.history_rows += 1;
            match read_row(&row) {
                Some((first, end)) => {
                    let follows = first == expected
                        || first.version > expected.version && first.ordinal == 0
                        // The rest of a commit that was trimmed in part.
                        || first.version == floor && expected.ordinal == 0;
                    expected = end;
                    let is_new = first.version > newest;
                    match (is_new, follows) {
                        (true, _) => Some("a row is of a version that has not been yet"),
                        (_, false) => Some("a part of a commit is missing, or is below the floor"),
                        _ => None,
                    }
                }
                None => {
                    // Whatever follows it may.
                    expected = Position { version: 0, ordinal: 0 };
                    floor = position_of(row.key).map_or(0, |first| first.version);
                    Some("a row is damaged")
                }
            }
        };
        if let Some(what) = what {
            let problem = Problem::new(ProblemKind::History, format!("the history: {what}"));
            findings.add(problem.on_page(row.page));
        }
    });
}

fn read_floor(row: &Row) -> Option<u64> {
    u64_at(unseal("history", FLOOR_KEY, row.data).ok()?, 0)
}

/// The places of a row's first change and behind its last.
fn read_row(row: &Row) -> Option<(Position, Position)> {
    let first = position_of(row.key).ok()?;
    let mut rest = unseal("history", row.key, row.data).ok()?.get(TIME_BYTES..)?;
    let (mut position, mut namespace) = (first, "");
    while !rest.is_empty() {
        read_change(&mut rest, &mut namespace, position)?;
        position = position.next();
    }
    (position > first).then_some((first, position))
}
