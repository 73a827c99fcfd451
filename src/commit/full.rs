//! Commits to a store that has reached its largest size, or whose disk has no room left.

use std::sync::atomic::Ordering;

use super::{SWEEPER, Work};
use crate::batch::Batch;
use crate::checkpoint::Durability;
use crate::commit::Committed;
use crate::environment::lmdb_error;
use crate::error::{Error, Result};
use crate::reserve;
use crate::shared::{Shared, WriterState};
use crate::shortage::Shortage;

impl Shared {
    /// Commits to a store that has reached its largest size, if there is a way.
    pub(super) fn commit_to_full(&self, writer: &mut WriterState, work: Work) -> Result<Committed> {
        if work.batch.reserve_bytes() > 0 {
            return self.commit_into_reserve(writer, work);
        }
        // What has expired is room that nobody has claimed yet.
        self.sweep_locked(writer)?;
        self.free_pages(writer)?;
        match self.commit_work(writer, work) {
            Err(Error::StoreFull) if self.has_history_to_drop(writer)? => {}
            result => return result,
        }
        // Data comes before history: watchers that lag behind begin anew.
        self.drop_history(writer)?;
        self.free_pages(writer)?;
        self.commit_work(writer, work)
    }

    /// Commits in the pages that the file has already, where the disk has no room for more.
    pub(super) fn commit_without_room(
        &self,
        writer: &mut WriterState,
        work: Work,
        shortage: Shortage,
    ) -> Result<Committed> {
        if shortage == Shortage::Floor {
            // It is the disk that needs room, not the file.
            return Err(Error::NoSpace(shortage));
        }
        // Snapshots of this process may keep the pages that are needed, and so may its pin.
        self.release_snapshots();
        self.renew_pin(writer)?;
        match self.commit_work(writer, work) {
            Err(Error::NoSpace(_)) => {}
            result => return result,
        }
        let makes_room = work.batch.reserve_bytes() > 0;
        if makes_room && shortage != Shortage::FileSize && reserve::release(self.dir()) {
            let result = self.commit_work(writer, work);
            self.owes_reserve.store(true, Ordering::Relaxed);
            if !matches!(result, Err(Error::NoSpace(_))) {
                return result;
            }
        }
        // What makes room may itself find none. Then the commit below says so.
        let cleared = self.sweep_locked(writer).and_then(|_| {
            // Data comes before history, as where the store is full.
            if self.has_history_to_drop(writer)? {
                writer.drops_history = true;
                let (batch, durability) = (&Batch::new(), self.own_durability());
                let work = Work { agent: SWEEPER, batch, durability };
                let dropped = self.commit_work(writer, work);
                writer.drops_history = false;
                dropped?;
            }
            self.free_pages(writer)
        });
        match cleared {
            Err(error) if !matches!(error, Error::NoSpace(_)) && !error.needs_remap() => Err(error),
            _ => self.commit_work(writer, work),
        }
    }

    fn has_history_to_drop(&self, writer: &WriterState) -> Result<bool> {
        let environment = self.environment(writer)?;
        let pages = environment.begin_read().and_then(|txn| {
            let stat = environment.changes.stat(&txn)?;
            Ok(stat.leaf_pages + stat.overflow_pages)
        });
        Ok(pages.map_err(|error| lmdb_error("read the history", error))? > 1)
    }

    fn drop_history(&self, writer: &mut WriterState) -> Result<()> {
        writer.drops_history = true;
        let (batch, durability) = (&Batch::new(), self.own_durability());
        let dropped = self.commit_into_reserve(writer, Work { agent: SWEEPER, batch, durability });
        writer.drops_history = false;
        dropped.map(|_| ())
    }

    /// Commits a removal, with a larger map for as long as it takes.
    pub(super) fn commit_into_reserve(
        &self,
        writer: &mut WriterState,
        work: Work,
    ) -> Result<Committed> {
        self.remap_with(writer, work.batch.reserve_bytes())?;
        let mut result = self.commit_work(writer, work);
        if matches!(result, Err(Error::StoreFull)) && !writer.drops_history {
            // What the removals alone would add to the history may be more than the reserve.
            writer.drops_history = true;
            result = self.commit_work(writer, work);
            writer.drops_history = false;
        }
        let freed = self.free_pages(writer);
        match self.remap_with(writer, 0) {
            // A backup has begun: the larger map stays until the next recycling.
            Err(Error::Pinned) => {}
            remapped => remapped?,
        }
        freed.and(result)
    }

    /// Makes the pages that the last commit freed usable, as far as this process can.
    fn free_pages(&self, writer: &mut WriterState) -> Result<()> {
        self.release_snapshots();
        let environment = self.environment(writer)?;
        self.prepare_commit(writer, &environment, Durability::Strict)?;
        let committed = environment.commit_nothing();
        committed.map_err(|error| self.judge(lmdb_error("commit", error), 0))?;
        // Moves the pin, too, which keeps pages from being used.
        self.complete_commit(writer, &environment, Durability::Strict, 0)
    }
}
