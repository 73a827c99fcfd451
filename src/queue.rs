//! Leased queues: tasks that any agent may push, claim, and finish.
//!
//! Every step is one commit through the same path as any write (commit.rs). A claim gives a worker
//! a lease, judged by the store's clock at commit, and an attempt: the fencing token, which grows
//! with every claim. Who comes with an older one has lost the task.

pub(crate) mod apply;
mod read;
mod renewal;
pub(crate) mod rows;
mod writes;

use std::ops::ControlFlow;
use std::sync::Arc;

pub use apply::ClaimedTask;
pub use apply::Token;
use read::{QueueView, Readiness};
pub use renewal::Hold;
pub(crate) use renewal::Renewals;
use rows::TaskRow;
pub use rows::{QueueStats, TaskStatus};
pub use writes::{Claim, OwnedToken, QueueWrite};

use crate::error::{Error, Result};
use crate::expiry::now_ms;
use crate::limits::{MAX_LEASE_MS, MAX_TASK_ATTEMPTS};
use crate::names::{check_queue, check_task_id};
use crate::store::Session;

/// How a worker claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueOptions {
    /// Milliseconds for which a claimed task stays with its worker.
    pub lease_ms: u64,
    /// Claims before a task is dead.
    pub max_attempts: u32,
}

/// A view of one queue. It holds no snapshot and writes nothing by itself.
pub struct Queue {
    session: Arc<Session>,
    name: Arc<str>,
    options: QueueOptions,
}

/// What a queue knows of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskState<'a> {
    /// The task's id.
    pub id: &'a str,
    /// A delayed task whose time has come is pending.
    pub status: TaskStatus,
    /// How often it was claimed.
    pub attempt: u64,
    /// While it is claimed: by which agent, and until when, in milliseconds since the epoch.
    pub claim: Option<(&'a str, u64)>,
    /// Why the last attempt failed.
    pub error: Option<&'a str>,
    /// MessagePack bytes.
    pub item: &'a [u8],
    /// MessagePack bytes; `None` also where the result is undefined.
    pub result: Option<&'a [u8]>,
}

impl Queue {
    pub(crate) fn new(session: Arc<Session>, name: &str, options: QueueOptions) -> Result<Queue> {
        session.check_open()?;
        check_queue(name)?;
        check_lease(options.lease_ms)?;
        if !(1..=MAX_TASK_ATTEMPTS).contains(&options.max_attempts) {
            return Err(Error::InvalidOption(format!(
                "maxAttempts is between 1 and {MAX_TASK_ATTEMPTS}"
            )));
        }
        Ok(Queue { session, name: name.into(), options })
    }

    /// The queue's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn with_view<R>(&self, read: impl FnOnce(QueueView) -> Result<R>) -> Result<R> {
        self.session.with_snapshot(|environment, txn| {
            read(QueueView { database: environment.queues, txn, queue: &self.name })
        })
    }

    fn readiness(&self) -> Result<Readiness> {
        self.with_view(|view| view.readiness(now_ms()))
    }

    /// In how many milliseconds a claim would find something, if nobody changes the queue.
    /// `None`: never.
    pub fn ready_in_ms(&self) -> Result<Option<u64>> {
        Ok(match self.readiness()? {
            Readiness::Now { .. } => Some(0),
            Readiness::At(at_ms) => Some(at_ms.saturating_sub(now_ms()).max(1)),
            Readiness::Never => None,
        })
    }

    /// How many tasks have each status.
    pub fn stats(&self) -> Result<QueueStats> {
        self.with_view(|view| view.stats_at(now_ms()))
    }

    /// Calls `visit` with a task; returns whether there is one.
    pub fn get(&self, id: &str, visit: impl FnOnce(&TaskState)) -> Result<bool> {
        check_task_id(id)?;
        self.with_view(|view| {
            let Some(task) = view.task(id)? else { return Ok(false) };
            visit_task(&view, id, &task, now_ms(), visit)?;
            Ok(true)
        })
    }

    /// Visits at most `limit` tasks, those with a status or all, each status in its own order.
    pub fn list(
        &self,
        status: Option<TaskStatus>,
        limit: u64,
        mut visit: impl FnMut(&TaskState),
    ) -> Result<()> {
        let now_ms = now_ms();
        let mut left = limit;
        self.with_view(|view| {
            // What is due counts as pending although it stands with the delayed.
            let part = status.filter(|status| *status != TaskStatus::Pending);
            view.visit_index(part, |_, order, id| {
                let task = view.indexed_task(id)?;
                let present = present_status(&task, now_ms);
                let is_past = status == Some(TaskStatus::Pending)
                    && (task.status == TaskStatus::Claimed || order.at_ms > now_ms);
                if left == 0 || is_past {
                    return Ok(ControlFlow::Break(()));
                }
                if status.is_none_or(|status| status == present) {
                    left -= 1;
                    visit_task(&view, id, &task, now_ms, &mut visit)?;
                }
                Ok(ControlFlow::Continue(()))
            })
        })
    }

    /// Visits id and result of every completed task, in the order of completion.
    pub fn results(&self, mut visit: impl FnMut(&str, Option<&[u8]>)) -> Result<()> {
        self.with_view(|view| {
            view.visit_index(Some(TaskStatus::Completed), |_, _, id| {
                visit(id, view.result(id, &view.indexed_task(id)?)?);
                Ok(ControlFlow::Continue(()))
            })
        })
    }
}

fn check_lease(lease_ms: u64) -> Result<()> {
    if (1..=MAX_LEASE_MS).contains(&lease_ms) {
        return Ok(());
    }
    Err(Error::InvalidOption(format!("a lease is between 1 and {MAX_LEASE_MS} milliseconds")))
}

fn present_status(task: &TaskRow, now_ms: u64) -> TaskStatus {
    match task.status {
        TaskStatus::Delayed if task.order.at_ms <= now_ms => TaskStatus::Pending,
        status => status,
    }
}

fn visit_task(
    view: &QueueView,
    id: &str,
    task: &TaskRow,
    now_ms: u64,
    visit: impl FnOnce(&TaskState),
) -> Result<()> {
    let is_claimed = task.status == TaskStatus::Claimed;
    visit(&TaskState {
        id,
        status: present_status(task, now_ms),
        attempt: task.attempt,
        claim: is_claimed.then_some((task.claimed_by.as_str(), task.order.at_ms)),
        error: task.error.as_deref(),
        item: view.item(id)?,
        result: view.result(id, task)?,
    });
    Ok(())
}
