//! Becoming active and ceasing to be; the pin; a checkpoint in one step.

use std::fs::TryLockError;
use std::sync::atomic::Ordering;

use super::Files;
use super::background::IDLE_STAGE;
use super::file::{NO_BOOT, Slot, SlotFile, State};
use crate::deadline::Deadline;
use crate::environment::{Environment, ReadTxn, lmdb_error};
use crate::error::{Error, Result};
use crate::shared::{Shared, WriterState};
use crate::weakened;

impl Shared {
    /// Gives up the pin. What fails poisons the store. The caller has passed the gate.
    pub fn deactivate(&self, writer: &mut WriterState, environment: &Environment) {
        let own = &self.checkpoints;
        let Some(files) = own.files.get().filter(|_| own.is_active()) else { return };
        if self.check_not_poisoned().is_ok() {
            // Not checked where it failed: a checkpoint that is not written leaves the older one,
            // and a poisoned store commits no more, so that it needs no pin.
            let _ = self.leave(files, environment);
        }
        (writer.pin, writer.next_pin) = (None, None);
        own.stage.store(IDLE_STAGE, Ordering::SeqCst);
        // Known flags cannot fail.
        let _ = environment.set_synced(true);
        own.is_active.store(false, Ordering::SeqCst);
        files.unlock();
    }

    fn leave(&self, files: &Files, environment: &Environment) -> Result<()> {
        // Where this fails the shared lock is lost, too; behind the gate nobody notices.
        if files.lock_alone().map_err(|error| self.poisoned_by(error))? {
            self.settle(environment)
        } else if self.checkpoints.unsynced_commits.load(Ordering::Relaxed) > 0 {
            self.take_checkpoint(environment, State::Active)
        } else {
            Ok(())
        }
    }

    /// Gives up the pin for good, before the store is closed. Fails, and leaves things as they are,
    /// if another process keeps the gate for so long.
    pub fn deactivate_to_close(&self, deadline: &Deadline) -> Result<()> {
        let own = &self.checkpoints;
        own.flusher.stop();
        // Under the writer's lock: whoever activates the store now has done so or will not.
        let writer = self.lock_writer();
        own.is_closed.store(true, Ordering::SeqCst);
        drop(writer);
        self.deactivate_within(deadline).inspect_err(|_| {
            own.is_closed.store(false, Ordering::SeqCst);
            own.flusher.resume();
            // Without the thread commits themselves take checkpoints.
            let _ = own.flusher.start(own.store.clone());
        })
    }

    /// Gives up the pin, if there is one, behind the gate.
    pub fn deactivate_within(&self, deadline: &Deadline) -> Result<()> {
        if !self.checkpoints.is_active() {
            return Ok(());
        }
        let gate = self.gate()?;
        let _passage = gate.pass(deadline)?;
        let mut writer = self.lock_writer();
        let environment = self.environment(&writer)?;
        self.deactivate(&mut writer, &environment);
        Ok(())
    }

    pub(super) fn activate(
        &self,
        writer: &mut WriterState,
        environment: &Environment,
    ) -> Result<()> {
        let own = &self.checkpoints;
        if own.is_closed.load(Ordering::SeqCst) {
            return Err(Error::Closed);
        }
        let files = own.files(self.dir())?;
        match files.lock.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Busy { waited_ms: 0, doing: "writing", holder: None });
            }
            Err(TryLockError::Error(error)) => {
                return Err(Error::io("could not lock relaxed.lock", error));
            }
        }
        let activated = self.activate_locked(writer, environment);
        if activated.is_err() {
            writer.pin = None;
            files.unlock();
        }
        activated
    }

    fn activate_locked(&self, writer: &mut WriterState, environment: &Environment) -> Result<()> {
        let own = &self.checkpoints;
        let pin = environment.begin_read().map_err(|error| lmdb_error("begin a read", error))?;
        self.say_synced(false);
        self.take_checkpoint(environment, State::Active)?;
        environment.set_synced(false).map_err(|error| lmdb_error("relax commits", error))?;
        self.hold(writer, pin);
        own.last_commit_ms.store(own.elapsed_ms(), Ordering::Relaxed);
        own.is_active.store(true, Ordering::SeqCst);
        own.flusher.start(own.store.clone()).map_err(|error| {
            self.deactivate(writer, environment);
            Error::io("could not start a thread", error)
        })
    }

    /// Moves the pin, if there is one, so that LMDB can use what was freed since.
    pub fn renew_pin(&self, writer: &mut WriterState) -> Result<()> {
        if !self.checkpoints.is_active() {
            return Ok(());
        }
        let environment = self.environment(writer)?;
        self.move_pin(writer, &environment)
    }

    /// Takes a checkpoint and moves the pin to it.
    pub(super) fn move_pin(
        &self,
        writer: &mut WriterState,
        environment: &Environment,
    ) -> Result<()> {
        // This one is newer than the flusher's.
        self.checkpoints.stage.store(IDLE_STAGE, Ordering::SeqCst);
        writer.next_pin = None;
        match environment.begin_read() {
            Ok(pin) => {
                self.take_checkpoint(environment, State::Active)?;
                self.hold(writer, pin);
                Ok(())
            }
            // No reader's slot is free. The pin that there is is older, which does no harm.
            Err(_) => self.take_checkpoint(environment, State::Active),
        }
    }

    pub(super) fn hold(&self, writer: &mut WriterState, pin: ReadTxn) {
        self.checkpoints.pinned_txn.store(pin.id(), Ordering::Relaxed);
        writer.pin = Some(pin).filter(|_| !weakened::skips("pin"));
    }

    /// If no process is active: syncs what those that were killed have left, and says so.
    pub(super) fn settle_if_alone(&self, environment: &Environment) -> Result<bool> {
        let files = self.checkpoints.files(self.dir())?;
        if !files.lock_alone()? {
            return Ok(false);
        }
        let settled = self.settle(environment);
        files.unlock();
        settled.map(|()| true)
    }

    fn settle(&self, environment: &Environment) -> Result<()> {
        self.take_checkpoint(environment, State::Synced)?;
        self.say_synced(true);
        Ok(())
    }

    /// Brings all commits to the disk, then says durably that this one is there. Nobody commits
    /// meanwhile: the caller has passed the gate. What fails poisons the store.
    pub(super) fn take_checkpoint(&self, environment: &Environment, state: State) -> Result<()> {
        let own = &self.checkpoints;
        let files = own.files(self.dir())?;
        self.sync_data(files)?;
        let slot = own.slot(files, environment, state);
        let written = slot.and_then(|slot| append(files, slot));
        written.map_err(|error| self.poisoned_by(error))?;
        own.unsynced_commits.store(0, Ordering::Relaxed);
        own.unsynced_bytes.store(0, Ordering::Relaxed);
        own.last_checkpoint_ms.store(own.elapsed_ms(), Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn sync_data(&self, files: &Files) -> Result<()> {
        if weakened::skips("sync") {
            return Ok(());
        }
        files.data.sync_data().map_err(|error| {
            // Whatever the kernel has dropped lies after the checkpoint: who opens the store next
            // goes back to it, as after a power cut.
            distrust(&files.slots);
            self.poisoned_by(Error::io("could not sync data.mdb", error))
        })
    }

    /// Whatever failed, even for want of room: it may have been pages of earlier commits.
    pub(super) fn poisoned_by(&self, error: Error) -> Error {
        let reason = error.to_string();
        self.poison_for(reason.clone());
        if matches!(error, Error::Io { .. }) { error } else { Error::Poisoned(reason) }
    }
}

/// Writes a slot, if it is not of an older commit than the newest one.
pub(super) fn append(files: &Files, slot: Slot) -> Result<()> {
    let newest = files.slots.newest()?;
    let before = newest.as_ref().map(|(_, slot)| slot);
    let before = before.filter(|before| before.store_id == slot.store_id);
    if let Some(before) = before.filter(|before| before.state == State::Active) {
        if before.boot_id != slot.boot_id {
            // A sync failed in another process.
            return Err(Error::Poisoned("unsynced commits may be lost".into()));
        }
        if before.txn_id > slot.txn_id && slot.state == State::Active {
            // Another process was quicker.
            return Ok(());
        }
    }
    let slot = Slot { recovery: before.and_then(|slot| slot.recovery), ..slot };
    let sequence = newest.map_or(0, |(sequence, _)| sequence) + 1;
    files
        .slots
        .append(sequence, &slot)
        .map_err(|error| Error::io("could not write a checkpoint", error))
}

/// Has the next opener go back to the checkpoint, if the disk still takes that.
fn distrust(slots: &SlotFile) {
    if let Ok(Some((sequence, slot))) = slots.newest()
        && slot.state == State::Active
    {
        let _ = slots.append(sequence + 1, &Slot { boot_id: NO_BOOT, ..slot });
    }
}
