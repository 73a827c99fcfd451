//! Reads of a queue, in any transaction.

use std::ops::{Bound, ControlFlow};

use heed::RoTxn;

use super::rows::{
    ORDER_BYTES, Order, QueueStats, RowKind, TaskRow, TaskStatus, index_key, read_index_key,
    row_key,
};
use crate::environment::{Handle, lmdb_error};
use crate::error::{Error, Result};
use crate::limits::QUEUE_ROWS_PER_CLAIM;
use crate::record::unseal;

/// What a claim would find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Something. `clamp`: a time lies further in the future than it can by this clock.
    Now { clamp: bool },
    /// Nothing before this time, in milliseconds since the epoch.
    At(u64),
    /// Nothing until somebody pushes a task.
    Never,
}

/// The rows of one queue in a transaction.
#[derive(Clone, Copy)]
pub(crate) struct QueueView<'a, 'txn> {
    pub database: Handle,
    pub txn: &'txn RoTxn<'a>,
    pub queue: &'txn str,
}

impl<'txn> QueueView<'_, 'txn> {
    fn row(&self, kind: RowKind, rest: &[u8]) -> Result<Option<&'txn [u8]>> {
        let key = row_key(self.queue, kind, rest);
        self.database
            .get(self.txn, &key)
            .map_err(|error| lmdb_error("read a queue", error))?
            .map(|row| unseal("queues", &key, row))
            .transpose()
    }

    /// How many tasks have each status, as their rows say.
    pub fn stats(&self) -> Result<QueueStats> {
        match self.row(RowKind::Stats, &[])? {
            None => Ok(QueueStats::default()),
            Some(row) => QueueStats::decode(row).ok_or_else(ill_formed),
        }
    }

    /// How many tasks there are, as pending ones, counted by their keys: no row need be sound.
    pub fn count_rows(&self) -> Result<QueueStats> {
        let low = row_key(self.queue, RowKind::Task, &[]);
        let high = row_key(self.queue, RowKind::Item, &[]);
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&low), Bound::Excluded(&high));
        let mut pending = 0;
        for row in self
            .database
            .range(self.txn, &range)
            .map_err(|error| lmdb_error("read a queue", error))?
        {
            row.map_err(|error| lmdb_error("read a queue", error))?;
            pending += 1;
        }
        Ok(QueueStats { pending, ..QueueStats::default() })
    }

    /// As `stats`, but what is due counts as pending.
    pub fn stats_at(&self, now_ms: u64) -> Result<QueueStats> {
        let mut stats = self.stats()?;
        if stats.delayed > 0 {
            let mut due = 0;
            self.visit_index(Some(TaskStatus::Delayed), |_, order, _| {
                let is_due = order.at_ms <= now_ms;
                due += u64::from(is_due);
                Ok(if is_due { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
            })?;
            stats.delayed = stats.delayed.saturating_sub(due);
            stats.pending += due;
        }
        Ok(stats)
    }

    /// The row of a task.
    pub fn task(&self, id: &str) -> Result<Option<TaskRow>> {
        self.row(RowKind::Task, id.as_bytes())?
            .map(|row| TaskRow::decode(row).ok_or_else(ill_formed))
            .transpose()
    }

    /// The row of a task that the index names.
    pub fn indexed_task(&self, id: &str) -> Result<TaskRow> {
        self.task(id)?.ok_or_else(|| Error::Corrupt("a queue has lost a task".into()))
    }

    /// The item of a task.
    pub fn item(&self, id: &str) -> Result<&'txn [u8]> {
        self.row(RowKind::Item, id.as_bytes())?
            .ok_or_else(|| Error::Corrupt("a queue has lost an item".into()))
    }

    /// The result of a task, if it is completed and its result is not undefined.
    pub fn result(&self, id: &str, task: &TaskRow) -> Result<Option<&'txn [u8]>> {
        if !task.has_result {
            return Ok(None);
        }
        match self.row(RowKind::Result, id.as_bytes())? {
            None => Err(Error::Corrupt("a queue has lost a result".into())),
            result => Ok(result),
        }
    }

    /// Visits the index, or its part with one status: status, order, id.
    pub fn visit_index(
        &self,
        status: Option<TaskStatus>,
        mut visit: impl FnMut(TaskStatus, Order, &'txn str) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let low = self.index_bound(status.unwrap_or(TaskStatus::Pending), 0);
        let high = self.index_bound(status.unwrap_or(TaskStatus::Dead), u8::MAX);
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&low), Bound::Included(&high));
        let rows = self.database.range(self.txn, &range);
        for row in rows.map_err(|error| lmdb_error("read a queue", error))? {
            let (status, order, id) = self.index_row(row)?;
            if visit(status, order, id)?.is_break() {
                break;
            }
        }
        Ok(())
    }

    fn index_bound(&self, status: TaskStatus, fill: u8) -> Vec<u8> {
        let mut key = row_key(self.queue, RowKind::Index, &[status as u8]);
        key.extend_from_slice(&[fill; ORDER_BYTES]);
        key
    }

    fn index_row(
        &self,
        row: heed::Result<(&'txn [u8], &'txn [u8])>,
    ) -> Result<(TaskStatus, Order, &'txn str)> {
        let (key, row) = row.map_err(|error| lmdb_error("read a queue", error))?;
        let id = unseal("queues", key, row)?;
        let place = read_index_key(self.queue, key).ok_or_else(ill_formed)?;
        let id = std::str::from_utf8(id).map_err(|_| ill_formed())?;
        Ok((place.0, place.1, id))
    }

    /// The first task of a status.
    pub fn first(&self, status: TaskStatus) -> Result<Option<(Order, &'txn str)>> {
        let mut first = None;
        self.visit_index(Some(status), |_, order, id| {
            first = Some((order, id));
            Ok(ControlFlow::Break(()))
        })?;
        Ok(first)
    }

    /// Tasks whose time lies further ahead than they were granted: the clock was set back, or the
    /// process that wrote it has another one. Looks at the last few of a status.
    pub fn beyond_the_clock(
        &self,
        status: TaskStatus,
        now_ms: u64,
    ) -> Result<Vec<(&'txn str, TaskRow)>> {
        // A time that is past is not ahead.
        let order = Order { at_ms: now_ms.saturating_add(1), ..Order::default() };
        let (low, high) = (index_key(self.queue, status, order), self.index_bound(status, u8::MAX));
        let range: (Bound<&[u8]>, Bound<&[u8]>) = (Bound::Included(&low), Bound::Included(&high));
        let rows = self.database.rev_range(self.txn, &range);
        let mut beyond = Vec::new();
        for row in
            rows.map_err(|error| lmdb_error("read a queue", error))?.take(QUEUE_ROWS_PER_CLAIM)
        {
            let (_, order, id) = self.index_row(row)?;
            let task = self.indexed_task(id)?;
            if order.at_ms > now_ms.saturating_add(task.granted_ms) {
                beyond.push((id, task));
            }
        }
        Ok(beyond)
    }

    /// Whether a claim would find something, or when.
    pub fn readiness(&self, now_ms: u64) -> Result<Readiness> {
        let stats = self.stats()?;
        if stats.unfinished() == 0 {
            return Ok(Readiness::Never);
        }
        let mut clamp = false;
        let mut next_ms = if stats.pending > 0 { 0 } else { u64::MAX };
        for (status, count) in
            [(TaskStatus::Delayed, stats.delayed), (TaskStatus::Claimed, stats.claimed)]
        {
            if count == 0 {
                continue;
            }
            clamp = clamp || !self.beyond_the_clock(status, now_ms)?.is_empty();
            if let Some((order, _)) = self.first(status)? {
                next_ms = next_ms.min(order.at_ms);
            }
        }
        let is_ready = clamp || next_ms <= now_ms;
        Ok(if is_ready { Readiness::Now { clamp } } else { Readiness::At(next_ms) })
    }
}

fn ill_formed() -> Error {
    Error::Corrupt("a row of a queue is ill-formed".into())
}
