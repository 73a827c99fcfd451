//! The bytes of a queue's rows (docs/format.md, "Queues"). Pure: no LMDB and no clock here.

use crate::record::{clip_agent, u32_at, u64_at};

/// Bytes of an [`Order`].
pub(crate) const ORDER_BYTES: usize = 20;
/// Bytes of a task's row before the name of the agent.
const FIXED_BYTES: usize = 70;
const FLAG_ERROR: u8 = 1;
const FLAG_RESULT: u8 = 2;

/// What a row is, by the byte behind the queue's name in its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowKind {
    Stats = 0,
    Index = 1,
    Task = 2,
    Item = 3,
    Result = 4,
}

impl RowKind {
    fn from_byte(byte: u8) -> Option<RowKind> {
        [Self::Stats, Self::Index, Self::Task, Self::Item, Self::Result]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// Where a task is on its way. The numbers are those of the format, and the order of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStatus {
    /// Waits for a worker.
    Pending = 1,
    /// Waits for its time.
    Delayed = 2,
    /// A worker has it, until its lease runs out.
    Claimed = 3,
    /// A worker has finished it.
    Completed = 4,
    /// It was tried as often as allowed.
    Dead = 5,
}

impl TaskStatus {
    /// Every status, in the order of a listing.
    pub const ALL: [TaskStatus; 5] =
        [Self::Pending, Self::Delayed, Self::Claimed, Self::Completed, Self::Dead];

    /// The name, as JavaScript sees it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delayed => "delayed",
            Self::Claimed => "claimed",
            Self::Completed => "completed",
            Self::Dead => "dead",
        }
    }

    /// The status with this name.
    pub fn from_name(name: &str) -> Option<TaskStatus> {
        Self::ALL.into_iter().find(|status| status.name() == name)
    }

    fn from_byte(byte: u8) -> Option<TaskStatus> {
        Self::ALL.into_iter().find(|status| *status as u8 == byte)
    }
}

/// The place of a task among those of its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Order {
    /// When a delayed task is due or a lease runs out, in milliseconds; else 0.
    pub at_ms: u64,
    /// The commit that put the task there.
    pub version: u64,
    /// Distinguishes the tasks of one commit.
    pub ordinal: u32,
}

impl Order {
    /// Big-endian, so that rows stand in this order.
    pub fn to_bytes(self) -> [u8; ORDER_BYTES] {
        let mut bytes = [0; ORDER_BYTES];
        let (at_ms, rest) = bytes.split_at_mut(8);
        let (version, ordinal) = rest.split_at_mut(8);
        at_ms.copy_from_slice(&self.at_ms.to_be_bytes());
        version.copy_from_slice(&self.version.to_be_bytes());
        ordinal.copy_from_slice(&self.ordinal.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Order> {
        let (at_ms, rest) = bytes.split_first_chunk()?;
        let (version, ordinal) = rest.split_first_chunk()?;
        Some(Order {
            at_ms: u64::from_be_bytes(*at_ms),
            version: u64::from_be_bytes(*version),
            ordinal: u32::from_be_bytes(ordinal.try_into().ok()?),
        })
    }
}

/// The key of a row: length of the queue's name, name, kind, the rest.
pub(crate) fn row_key(queue: &str, kind: RowKind, rest: &[u8]) -> Vec<u8> {
    let mut key = queue_prefix(queue);
    key.push(kind as u8);
    key.extend_from_slice(rest);
    key
}

/// What the keys of all rows of a queue, and of no other, begin with.
pub(crate) fn queue_prefix(queue: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(64 + queue.len());
    // The cast loses nothing: a name has at most 512 bytes.
    key.extend_from_slice(&(queue.len() as u16).to_be_bytes());
    key.extend_from_slice(queue.as_bytes());
    key
}

/// Queue, kind and rest of a key that [`row_key`] made.
pub(crate) fn read_row_key(key: &[u8]) -> Option<(&str, RowKind, &[u8])> {
    let (length, rest) = key.split_first_chunk::<2>()?;
    let (queue, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
    let (kind, rest) = rest.split_first()?;
    Some((std::str::from_utf8(queue).ok()?, RowKind::from_byte(*kind)?, rest))
}

/// The key of a row of the index.
pub(crate) fn index_key(queue: &str, status: TaskStatus, order: Order) -> Vec<u8> {
    let mut key = row_key(queue, RowKind::Index, &[status as u8]);
    key.extend_from_slice(&order.to_bytes());
    key
}

/// Status and order of a row of the index.
pub(crate) fn read_index_key(queue: &str, key: &[u8]) -> Option<(TaskStatus, Order)> {
    let (status, order) = key.get(queue.len() + 3..)?.split_first()?;
    Some((TaskStatus::from_byte(*status)?, Order::from_bytes(order)?))
}

/// The row of a task: all that changes from step to step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskRow {
    pub status: TaskStatus,
    /// How often it was claimed, ever: the fencing token of the last claim.
    pub attempt: u64,
    /// How often since it was pushed or brought back from the dead.
    pub claims: u32,
    /// The last commit that wrote this row.
    pub version: u64,
    /// The commit that pushed the task: another task of the same id has another one.
    pub created: u64,
    pub created_at_ms: u64,
    /// Of its row in the index.
    pub order: Order,
    /// The length of the lease or of the delay.
    pub granted_ms: u64,
    /// The agent that claimed it last.
    pub claimed_by: String,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// Whether there is a row with its result.
    pub has_result: bool,
}

impl TaskRow {
    /// The payload of the row.
    pub fn encode(&self) -> Vec<u8> {
        let error = self.error.as_deref().unwrap_or_default();
        let agent = clip_agent(&self.claimed_by);
        let mut row = Vec::with_capacity(FIXED_BYTES + agent.len() + error.len());
        row.extend_from_slice(&self.version.to_le_bytes());
        row.extend_from_slice(&self.created_at_ms.to_le_bytes());
        row.extend_from_slice(&self.attempt.to_le_bytes());
        row.extend_from_slice(&self.order.at_ms.to_le_bytes());
        row.extend_from_slice(&self.order.version.to_le_bytes());
        row.extend_from_slice(&self.granted_ms.to_le_bytes());
        row.extend_from_slice(&self.order.ordinal.to_le_bytes());
        row.extend_from_slice(&self.claims.to_le_bytes());
        row.extend_from_slice(&self.created.to_le_bytes());
        let mut flags = if self.error.is_some() { FLAG_ERROR } else { 0 };
        if self.has_result {
            flags |= FLAG_RESULT;
        }
        // The cast loses nothing: an agent's name has at most 128 bytes.
        row.extend_from_slice(&[self.status as u8, flags, agent.len() as u8, 0, 0, 0]);
        row.extend_from_slice(agent.as_bytes());
        row.extend_from_slice(error.as_bytes());
        row
    }

    /// Reads a payload.
    pub fn decode(row: &[u8]) -> Option<TaskRow> {
        let [status, flags, agent_bytes, ..] = *row.get(64..FIXED_BYTES)? else { return None };
        let rest = row.get(FIXED_BYTES..)?;
        let (agent, error) = rest.split_at_checked(agent_bytes.into())?;
        let error = std::str::from_utf8(error).ok()?;
        Some(TaskRow {
            status: TaskStatus::from_byte(status)?,
            attempt: u64_at(row, 16)?,
            claims: u32_at(row, 52)?,
            version: u64_at(row, 0)?,
            created: u64_at(row, 56)?,
            created_at_ms: u64_at(row, 8)?,
            order: Order {
                at_ms: u64_at(row, 24)?,
                version: u64_at(row, 32)?,
                ordinal: u32_at(row, 48)?,
            },
            granted_ms: u64_at(row, 40)?,
            claimed_by: std::str::from_utf8(agent).ok()?.to_owned(),
            error: (flags & FLAG_ERROR != 0).then(|| error.to_owned()),
            has_result: flags & FLAG_RESULT != 0,
        })
    }
}

/// How many tasks of each status a queue has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueStats {
    /// Waiting for a worker.
    pub pending: u64,
    /// Waiting for their time.
    pub delayed: u64,
    /// With a worker.
    pub claimed: u64,
    /// Finished.
    pub completed: u64,
    /// Tried as often as allowed.
    pub dead: u64,
}

impl QueueStats {
    pub(crate) fn of(&mut self, status: TaskStatus) -> &mut u64 {
        match status {
            TaskStatus::Pending => &mut self.pending,
            TaskStatus::Delayed => &mut self.delayed,
            TaskStatus::Claimed => &mut self.claimed,
            TaskStatus::Completed => &mut self.completed,
            TaskStatus::Dead => &mut self.dead,
        }
    }

    fn counts(self) -> [u64; 5] {
        [self.pending, self.delayed, self.claimed, self.completed, self.dead]
    }

    /// All tasks.
    pub fn total(self) -> u64 {
        self.counts().into_iter().fold(0, u64::saturating_add)
    }

    /// Those that are not finished.
    pub fn unfinished(self) -> u64 {
        self.pending.saturating_add(self.delayed).saturating_add(self.claimed)
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        self.counts().into_iter().flat_map(u64::to_le_bytes).collect()
    }

    pub(crate) fn decode(row: &[u8]) -> Option<QueueStats> {
        Some(QueueStats {
            pending: u64_at(row, 0)?,
            delayed: u64_at(row, 8)?,
            claimed: u64_at(row, 16)?,
            completed: u64_at(row, 24)?,
            dead: u64_at(row, 32)?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn task() -> TaskRow {
        TaskRow {
            status: TaskStatus::Claimed,
            attempt: 1 << 40,
            claims: 3,
            version: 77,
            created: 12,
            created_at_ms: 5,
            order: Order { at_ms: 9, version: 76, ordinal: 2 },
            granted_ms: 30_000,
            claimed_by: "worker".into(),
            error: Some(String::new()),
            has_result: false,
        }
    }

    #[test]
    fn a_task_comes_back_as_it_was_written() {
        for status in TaskStatus::ALL {
            for error in [None, Some(String::new()), Some("it broke".to_owned())] {
                let has_result = status == TaskStatus::Completed;
                let task = TaskRow { status, error, has_result, ..task() };
                assert_eq!(TaskRow::decode(&task.encode()), Some(task));
            }
        }
    }

    #[test]
    fn a_task_that_was_cut_is_refused() {
        let row = TaskRow { error: None, ..task() }.encode();
        for bytes in 0..row.len() {
            assert_eq!(TaskRow::decode(&row[..bytes]), None, "{bytes} bytes were accepted");
        }
    }

    #[test]
    fn the_index_stands_in_the_order_of_status_time_commit_and_ordinal() {
        let orders = [(0, 1, 0), (0, 1, 1), (0, 256, 0), (1, 0, 0), (256, 0, 0)]
            .map(|(at_ms, version, ordinal)| Order { at_ms, version, ordinal });
        let mut keys = Vec::new();
        for status in TaskStatus::ALL {
            for order in orders {
                let key = index_key("q", status, order);
                assert_eq!(read_index_key("q", &key), Some((status, order)));
                keys.push(key);
            }
        }
        assert!(keys.is_sorted());
    }

    #[test]
    fn no_queue_has_the_prefix_of_another() {
        let names = ["a", "aa", "a\u{0}", "b", "ab"];
        for one in names {
            for other in names.into_iter().filter(|other| *other != one) {
                let key = row_key(other, RowKind::Task, b"id");
                assert!(!key.starts_with(&queue_prefix(one)), "{one} {other}");
            }
        }
    }

    #[test]
    fn counts_come_back_as_they_were_written() {
        let stats = QueueStats { pending: 1, delayed: 2, claimed: 3, completed: 4, dead: 5 };
        assert_eq!(QueueStats::decode(&stats.encode()), Some(stats));
        assert_eq!(stats.total(), 15);
        assert_eq!(stats.unfinished(), 6);
        assert_eq!(QueueStats::decode(&[0; 39]), None);
    }
}
