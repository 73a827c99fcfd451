//! A checkpoint in stages: writers go on while the flusher syncs the data.
//!
//! Behind the gate a read transaction begins at the newest commit, and its meta page is copied;
//! outside of it the data is synced; behind it again the slot is written. A writer that needs a
//! checkpoint meanwhile takes its own, which is newer, and this one is given up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::file::{Slot, State};
use super::flusher::LONGEST_TICK;
use super::pin::append;
use super::{EARLY_BYTES, EARLY_COMMITS};
use crate::deadline::Deadline;
use crate::environment::{Environment, ReadTxn};
use crate::error::{Error, Result};
use crate::limits::MAX_UNSYNCED_COMMITS;
use crate::shared::{Shared, WriterState};

/// How long a process stays active without a commit.
const IDLE: Duration = Duration::from_secs(1);
/// How long the flusher waits for other writers before it looks again.
const PATIENCE: Duration = Duration::from_secs(1);

/// The stages of the flusher's checkpoint. Those that need the gate are done by whoever stands in it
/// next: a writer after its commit, or the flusher.
pub(super) const IDLE_STAGE: u8 = 0;
/// Somebody shall begin the checkpoint.
const WANTED: u8 = 1;
/// The flusher syncs the data.
const SYNCING: u8 = 2;
/// Somebody shall write the slot.
const SYNCED: u8 = 3;

/// A checkpoint that has begun: its data is being synced.
pub(crate) struct NextPin {
    pin: ReadTxn,
    slot: Slot,
    /// Commits and bytes that were unsynced when it began.
    commits: u64,
    bytes: u64,
    /// When it began: what is committed later waits for the next one, however long this one takes.
    began_ms: u64,
}

impl Shared {
    /// One tick of the flusher.
    pub(super) fn tick_checkpoints(&self, tick: Duration) {
        let own = &self.checkpoints;
        let now_ms = own.elapsed_ms();
        let since = |moment: &AtomicU64| {
            Duration::from_millis(now_ms.saturating_sub(moment.load(Ordering::Relaxed)))
        };
        let commits = own.unsynced_commits.load(Ordering::Relaxed);
        let unsynced = commits > 0;
        let is_idle = since(&own.last_commit_ms) >= IDLE || self.check_not_poisoned().is_err();
        let commits_since_pin = self.commits_since_pin();
        // Commits of others count: those of a process that was killed wait for somebody.
        let is_due = commits >= EARLY_COMMITS
            || own.unsynced_bytes.load(Ordering::Relaxed) >= EARLY_BYTES
            || commits_since_pin > 0 && since(&own.last_checkpoint_ms) + tick >= own.interval();
        // An old pin makes the file grow, whoever writes.
        let is_old = commits_since_pin >= MAX_UNSYNCED_COMMITS;
        // What fails poisons the store, or is tried again.
        if !unsynced && (is_idle || is_old) || self.check_not_poisoned().is_err() {
            let _ = self.deactivate_within(&Deadline::after(PATIENCE));
        } else if is_due || is_old {
            let _ = self.checkpoint_within(&Deadline::after(PATIENCE));
        }
    }

    fn commits_since_pin(&self) -> u64 {
        let pinned = self.checkpoints.pinned_txn.load(Ordering::Relaxed);
        let newest = self.newest_txn().unwrap_or(pinned);
        newest.saturating_sub(pinned) as u64
    }

    /// Takes a checkpoint without keeping others from writing while the data is synced.
    fn checkpoint_within(&self, deadline: &Deadline) -> Result<()> {
        let own = &self.checkpoints;
        own.stage.store(WANTED, Ordering::SeqCst);
        self.await_stage(WANTED, deadline)?;
        if own.stage.load(Ordering::SeqCst) == SYNCING {
            self.sync_data(own.files(self.dir())?)?;
            // A checkpoint of a writer may have been quicker.
            let _ = own.stage.compare_exchange(SYNCING, SYNCED, Ordering::SeqCst, Ordering::SeqCst);
            self.await_stage(SYNCED, deadline)?;
        }
        Ok(())
    }

    /// Waits until somebody has done what `stage` asks for; if nobody is quicker, by doing it.
    fn await_stage(&self, stage: u8, deadline: &Deadline) -> Result<()> {
        let own = &self.checkpoints;
        let gate = self.gate()?;
        while own.stage.load(Ordering::SeqCst) == stage {
            let passage = match gate.pass(&Deadline::after(LONGEST_TICK)) {
                Err(Error::Busy { .. }) if deadline.left().is_some() => continue,
                passage => passage?,
            };
            let mut writer = self.lock_writer();
            let environment = self.environment(&writer)?;
            self.check_not_poisoned()?;
            self.advance_checkpoint(&mut writer, &environment)?;
            drop(passage);
        }
        Ok(())
    }

    /// Does what the flusher's checkpoint needs behind the gate.
    pub(super) fn advance_checkpoint(
        &self,
        writer: &mut WriterState,
        environment: &Environment,
    ) -> Result<()> {
        let own = &self.checkpoints;
        match own.stage.load(Ordering::SeqCst) {
            WANTED if own.is_active() => {
                writer.next_pin = self.begin_checkpoint(environment)?;
                let stage = if writer.next_pin.is_some() { SYNCING } else { IDLE_STAGE };
                own.stage.store(stage, Ordering::SeqCst);
            }
            SYNCED => {
                if let Some(next) = writer.next_pin.take() {
                    self.end_checkpoint(writer, next)?;
                }
                own.stage.store(IDLE_STAGE, Ordering::SeqCst);
            }
            WANTED => own.stage.store(IDLE_STAGE, Ordering::SeqCst),
            _ => {}
        }
        Ok(())
    }

    /// `None` where no reader's slot is free: then a writer takes the checkpoint when it must.
    fn begin_checkpoint(&self, environment: &Environment) -> Result<Option<NextPin>> {
        let own = &self.checkpoints;
        let Ok(pin) = environment.begin_read() else { return Ok(None) };
        let files = own.files(self.dir())?;
        let slot = own.slot(files, environment, State::Active);
        Ok(Some(NextPin {
            pin,
            slot: slot.map_err(|error| self.poisoned_by(error))?,
            commits: own.unsynced_commits.load(Ordering::Relaxed),
            bytes: own.unsynced_bytes.load(Ordering::Relaxed),
            began_ms: own.elapsed_ms(),
        }))
    }

    fn end_checkpoint(&self, writer: &mut WriterState, next: NextPin) -> Result<()> {
        let own = &self.checkpoints;
        let written = append(own.files(self.dir())?, next.slot);
        written.map_err(|error| self.poisoned_by(error))?;
        own.unsynced_commits.fetch_sub(next.commits, Ordering::Relaxed);
        own.unsynced_bytes.fetch_sub(next.bytes, Ordering::Relaxed);
        own.last_checkpoint_ms.store(next.began_ms, Ordering::Relaxed);
        self.hold(writer, next.pin);
        Ok(())
    }
}
