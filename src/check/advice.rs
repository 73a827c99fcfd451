//! What to do about what a check has found.

use super::report::{CheckReport, CheckStatus, ProblemKind};

/// Sentences, in the order in which to follow them.
pub(super) fn advice(report: &CheckReport) -> Vec<String> {
    let directory = report.path.display();
    let has = |kind| report.counts.contains_key(&kind);
    let mut advice = Vec::new();
    if has(ProblemKind::UnsafePath) {
        advice.push("Make the files private again as the problems of kind unsafe-path say.".into());
        if report.counts.len() == 1 {
            return advice;
        }
    }
    if has(ProblemKind::FormatVersion) {
        advice.push("Check with the version of commonhold that wrote the store.".into());
    }
    if has(ProblemKind::NotOpened) || has(ProblemKind::Changing) {
        advice.push(format!(
            "Stop the processes that have {directory} open, then check again: nothing moves under \
             a check then."
        ));
    }
    if report.status() == CheckStatus::Damaged {
        advice.push(format!(
            "Do not write to the store any more: stop its processes, and copy {directory} as it is."
        ));
        advice.push(
            "Restore a backup that backup() made: open the store where the backup is, or put it \
             where this one was."
                .into(),
        );
        advice.push(salvage(report));
    }
    advice
}

fn salvage(report: &CheckReport) -> String {
    let (unharmed, harmed) = (report.unharmed.len(), report.harmed.len());
    let total = unharmed + harmed;
    format!(
        "Without a backup, save what can be read from the copy, opened with readOnly, into a new \
         store: {unharmed} of {total} namespaces that were found are unharmed, read those with \
         getAll(); read the others key by key, where each damaged entry throws ERR_CORRUPT and \
         every entry that is returned is good. Do it in a process of its own, because a damaged \
         page can crash the process that reads it."
    )
}
