//! What a transaction commits, without the transaction.

use std::sync::Arc;

use super::reads::ReadSet;
use super::writes::WriteSet;
use crate::batch::Batch;
use crate::error::Result;
use crate::writer::Write;

/// All that was read and written. It has no reference to the store (see namespace/writes.rs).
pub(super) struct Changes {
    pub views: Vec<ViewChanges>,
    /// The time by which expiry was judged, in milliseconds since the epoch.
    pub as_of_ms: u64,
}

/// What was read and written in one namespace.
pub(super) struct ViewChanges {
    pub namespace: Arc<str>,
    pub reads: ReadSet,
    pub writes: WriteSet,
}

impl Changes {
    /// Bytes of what it writes.
    pub fn bytes(&self) -> usize {
        self.views.iter().map(|view| view.writes.bytes()).sum()
    }
}

impl Write for Changes {
    fn batch(&self) -> Result<Batch<'_>> {
        let mut batch = Batch::new();
        for view in &self.views {
            if view.reads.is_empty() && view.writes.len() == 0 {
                continue;
            }
            let index = batch.namespace(&view.namespace)?;
            view.reads.require(&mut batch, index, self.as_of_ms)?;
            view.writes.apply(&mut batch, index)?;
        }
        Ok(batch)
    }
}
