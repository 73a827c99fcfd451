//! The rows of the catalogue: which namespaces hold records, how many, and when they changed last.

use crate::error::Result;
use crate::record::{seal, u64_at, unseal};

/// What the catalogue says of one namespace. A namespace without records has no row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CatalogueRow {
    /// Version of the last commit that changed the namespace.
    pub last_version: u64,
    /// Records, expired ones that still await removal included.
    pub count: u64,
    /// How many of them expire at some time.
    pub expiring: u64,
}

impl CatalogueRow {
    /// The row's bytes, sealed with its name.
    pub fn encode(&self, name: &[u8]) -> Vec<u8> {
        let mut payload = [0; 24];
        for (field, number) in
            payload.chunks_exact_mut(8).zip([self.last_version, self.count, self.expiring])
        {
            field.copy_from_slice(&number.to_le_bytes());
        }
        seal(name, &payload)
    }

    /// Verifies and reads a row.
    pub fn decode(name: &[u8], row: &[u8]) -> Result<CatalogueRow> {
        let payload = unseal("catalogue", name, row)?;
        let field = |offset| u64_at(payload, offset).unwrap_or_default();
        Ok(CatalogueRow { last_version: field(0), count: field(8), expiring: field(16) })
    }
}
