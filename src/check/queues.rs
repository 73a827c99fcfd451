//! The queues: every task has its row, its item, its one place in the index, its result.

use std::collections::HashMap;

use super::report::{CheckFigures, Findings, Problem, ProblemKind};
use super::rows::Named;
use super::tree::{Owner, Pages, Row};
use crate::names::{check_queue, check_task_id};
use crate::queue::rows::{
    Order, QueueStats, RowKind, TaskRow, TaskStatus, read_index_key, read_row_key,
};
use crate::record::unseal;
use crate::value;

pub(super) fn check(
    pages: &mut Pages,
    named: &Named,
    version: Option<u64>,
    findings: &mut Findings,
    figures: &mut CheckFigures,
) {
    let mut state = QueueCheck { newest: version.unwrap_or(u64::MAX), ..QueueCheck::default() };
    let owner = Owner::Internal(&named.name);
    let walked = pages.walk(&named.tree, owner, findings, &mut |findings, row| {
        state.row(findings, figures, &row);
    });
    state.is_lost |= !walked.is_whole;
    state.finish(findings, figures);
}

/// What is known of a task. The rows come in the order index, tasks, items, results.
#[derive(Default)]
struct Seen {
    place: Option<(TaskStatus, Order)>,
    has_row: bool,
    has_item: bool,
    wants_result: bool,
    has_result: bool,
}

#[derive(Default)]
struct QueueCheck {
    newest: u64,
    name: String,
    /// What its row says.
    stats: Option<QueueStats>,
    /// What was counted in the index.
    counted: QueueStats,
    tasks: HashMap<Vec<u8>, Seen>,
    /// Whether a row could not be read, so that others may seem to lack something.
    is_lost: bool,
}

impl QueueCheck {
    fn report(&self, findings: &mut Findings, what: &str, id: Option<&[u8]>, page: Option<u64>) {
        let problem = Problem::new(ProblemKind::Queue, format!("queue {:?}: {what}", self.name));
        let problem = Problem { page, ..problem.of_queue(&self.name) };
        findings.add(id.into_iter().fold(problem, Problem::with_key));
    }

    fn row(&mut self, findings: &mut Findings, figures: &mut CheckFigures, row: &Row) {
        let Some((name, kind, rest)) = read_row_key(row.key) else {
            self.is_lost = true;
            let problem =
                Problem::new(ProblemKind::Queue, "the key of a queue's row is ill-formed");
            return findings.add(problem.on_page(row.page));
        };
        if name != self.name {
            self.finish(findings, figures);
            let newest = self.newest;
            *self = QueueCheck { newest, name: name.to_owned(), ..QueueCheck::default() };
            figures.queues += 1;
        }
        let Ok(payload) = unseal("queues", row.key, row.data) else {
            self.is_lost = true;
            return self.report(findings, "a row is damaged", Some(rest), Some(row.page));
        };
        let what = match kind {
            RowKind::Stats => {
                self.stats = QueueStats::decode(payload);
                (self.stats.is_none() || check_queue(name).is_err())
                    .then_some("its counts or name are ill-formed")
            }
            RowKind::Index => self.index_row(row.key, payload),
            RowKind::Task => self.task_row(rest, payload),
            RowKind::Item => {
                let is_new = !std::mem::replace(&mut self.seen(rest).has_item, true);
                (!is_new || value::check(payload).is_err())
                    .then_some("the item of a task is ill-formed")
            }
            RowKind::Result => {
                self.seen(rest).has_result = true;
                value::check(payload).is_err().then_some("the result of a task is ill-formed")
            }
        };
        if let Some(what) = what {
            let id = if kind == RowKind::Index { payload } else { rest };
            self.report(findings, what, Some(id), Some(row.page));
        }
    }

    fn seen(&mut self, id: &[u8]) -> &mut Seen {
        if !self.tasks.contains_key(id) {
            self.tasks.insert(id.to_vec(), Seen::default());
        }
        self.tasks.entry(id.to_vec()).or_default()
    }

    fn index_row(&mut self, key: &[u8], id: &[u8]) -> Option<&'static str> {
        let Some((status, order)) = read_index_key(&self.name, key) else {
            self.is_lost = true;
            return Some("a key of its index is ill-formed");
        };
        *self.counted.of(status) += 1;
        let newest = self.newest;
        let seen = self.seen(id);
        if seen.place.replace((status, order)).is_some() {
            return Some("a task is in the index twice");
        }
        (order.version > newest)
            .then_some("a place in the index is of a version that has not been yet")
    }

    fn task_row(&mut self, id: &[u8], payload: &[u8]) -> Option<&'static str> {
        let newest = self.newest;
        let seen = self.seen(id);
        seen.has_row = true;
        let Some(task) = TaskRow::decode(payload) else { return Some("a task is ill-formed") };
        seen.wants_result = task.has_result;
        let is_id = std::str::from_utf8(id).is_ok_and(|id| check_task_id(id).is_ok());
        let is_in_place = seen.place == Some((task.status, task.order));
        if !is_id {
            Some("the id of a task is none that a task can have")
        } else if task.version > newest || task.created > task.version {
            Some("a task is of a version that has not been yet")
        } else if !is_in_place && !self.is_lost {
            Some("the index does not have a task where its row says")
        } else {
            None
        }
    }

    /// Reports what the queue lacks, when all of its rows were visited.
    fn finish(&mut self, findings: &mut Findings, figures: &mut CheckFigures) {
        figures.tasks += self.tasks.values().filter(|seen| seen.has_row).count() as u64;
        if self.name.is_empty() || self.is_lost {
            return;
        }
        if self.stats != Some(self.counted) {
            let (says, has) = (self.stats.unwrap_or_default(), self.counted);
            let what = format!("its counts say {says:?}, its index has {has:?}");
            self.report(findings, &what, None, None);
        }
        let mut ids: Vec<_> = self.tasks.iter().collect();
        ids.sort_unstable_by_key(|(id, _)| *id);
        for (id, seen) in ids {
            let what = match seen {
                Seen { has_row: false, .. } => "something is there of a task that has no row",
                Seen { has_item: false, .. } => "a task has no item",
                Seen { wants_result: true, has_result: false, .. } => "a task has lost its result",
                Seen { wants_result: false, has_result: true, .. } => {
                    "a task has a result too many"
                }
                _ => continue,
            };
            self.report(findings, what, Some(id), None);
        }
    }
}
