//! The bytes of a record: header, metadata, value (docs/format.md, "Records").
//!
//! Pure: no LMDB and no clock here. Two checksums, because a listing of keys must be able to
//! verify a key and its expiry without reading a large value: the head checksum covers the
//! namespace, the key, the header and the metadata (and the value's checksum with them), the
//! value checksum covers the value.

use crate::error::{Error, Result};
use crate::limits::MAX_AGENT_BYTES;

/// The record format this version writes.
pub(crate) const RECORD_FORMAT: u8 = 1;

/// Bytes before the optional fields.
const FIXED_BYTES: usize = 40;
const EXPIRY_BYTES: usize = 12;

const FLAG_EXPIRY: u8 = 1;
const FLAG_METADATA: u8 = 2;
const KNOWN_FLAGS: u8 = FLAG_EXPIRY | FLAG_METADATA;

/// When an entry is gone, and the key of its row in the expiry index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// Milliseconds since the epoch.
    pub at_ms: u64,
    /// Distinguishes the expiring entries of one commit.
    pub sequence: u32,
}

/// Everything in a record but its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub version: u64,
    pub created_at_ms: u64,
    pub updated_at_ms: u64,
    pub created_by: &'a str,
    pub updated_by: &'a str,
    pub expiry: Option<Expiry>,
    /// A JSON object, or empty.
    pub metadata: &'a [u8],
}

impl Head<'_> {
    /// Whether the entry is gone at `now_ms`.
    pub fn is_expired(&self, now_ms: impl FnOnce() -> u64) -> bool {
        self.expiry.is_some_and(|expiry| expiry.at_ms <= now_ms())
    }
}

/// A verified head, with the value not yet verified.
#[derive(Debug, Clone)]
pub(crate) struct Record<'a> {
    pub head: Head<'a>,
    value: &'a [u8],
    value_checksum: u32,
}

/// The part of the head checksum that all keys of a namespace share.
pub(crate) fn namespace_seed(namespace: &str) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(namespace.as_bytes()), &[0])
}

impl<'a> Record<'a> {
    /// Verifies the head of a record and takes it apart.
    pub fn parse(seed: u32, key: &[u8], bytes: &'a [u8]) -> Result<Record<'a>> {
        Self::parse_head(seed, key, bytes).ok_or_else(|| damaged(key))
    }

    fn parse_head(seed: u32, key: &[u8], bytes: &'a [u8]) -> Option<Record<'a>> {
        let head_bytes = usize::try_from(u32_at(bytes, 20)?).ok()?;
        let (head, value) = bytes.split_at_checked(head_bytes)?;
        if crc32c::crc32c_append(crc32c::crc32c_append(seed, key), head.get(4..)?)
            != u32_at(head, 0)?
        {
            return None;
        }
        // What follows cannot fail for bytes that this module wrote; it is checked all the same,
        // because a checksum of 32 bits is not a proof.
        let [format, flags, created_by_bytes, updated_by_bytes] = *head.get(16..20)? else {
            return None;
        };
        if format != RECORD_FORMAT || flags & !KNOWN_FLAGS != 0 {
            return None;
        }
        let mut rest = head.get(FIXED_BYTES..)?;
        let expiry = if flags & FLAG_EXPIRY != 0 {
            let field = take(&mut rest, EXPIRY_BYTES)?;
            Some(Expiry { at_ms: u64_at(field, 0)?, sequence: u32_at(field, 8)? })
        } else {
            None
        };
        let created_by = std::str::from_utf8(take(&mut rest, created_by_bytes.into())?).ok()?;
        let updated_by = std::str::from_utf8(take(&mut rest, updated_by_bytes.into())?).ok()?;
        if (flags & FLAG_METADATA == 0) != rest.is_empty() {
            return None;
        }
        Some(Record {
            head: Head {
                version: u64_at(head, 8)?,
                created_at_ms: u64_at(head, 24)?,
                updated_at_ms: u64_at(head, 32)?,
                created_by,
                updated_by,
                expiry,
                metadata: rest,
            },
            value,
            value_checksum: u32_at(head, 4)?,
        })
    }

    /// The value's bytes, verified.
    pub fn value(&self, key: &[u8]) -> Result<&'a [u8]> {
        if crc32c::crc32c(self.value) != self.value_checksum {
            return Err(damaged(key));
        }
        Ok(self.value)
    }

    /// How many bytes the value has.
    pub fn value_bytes(&self) -> usize {
        self.value.len()
    }
}

/// Writes the head of a record for `value` into `out` (cleared first). The record is `out`
/// followed by `value`.
pub(crate) fn write_head(out: &mut Vec<u8>, seed: u32, key: &[u8], head: &Head, value: &[u8]) {
    out.clear();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&crc32c::crc32c(value).to_le_bytes());
    out.extend_from_slice(&head.version.to_le_bytes());
    let flags = if head.expiry.is_some() { FLAG_EXPIRY } else { 0 }
        | if head.metadata.is_empty() { 0 } else { FLAG_METADATA };
    let (created_by, updated_by) = (clip_agent(head.created_by), clip_agent(head.updated_by));
    let expiry_bytes = if head.expiry.is_some() { EXPIRY_BYTES } else { 0 };
    let head_bytes =
        FIXED_BYTES + expiry_bytes + created_by.len() + updated_by.len() + head.metadata.len();
    // The casts lose nothing: agents have at most 128 bytes and metadata at most 64 KiB.
    out.extend_from_slice(&[RECORD_FORMAT, flags, created_by.len() as u8, updated_by.len() as u8]);
    out.extend_from_slice(&(head_bytes as u32).to_le_bytes());
    out.extend_from_slice(&head.created_at_ms.to_le_bytes());
    out.extend_from_slice(&head.updated_at_ms.to_le_bytes());
    if let Some(expiry) = head.expiry {
        out.extend_from_slice(&expiry.at_ms.to_le_bytes());
        out.extend_from_slice(&expiry.sequence.to_le_bytes());
    }
    out.extend_from_slice(created_by.as_bytes());
    out.extend_from_slice(updated_by.as_bytes());
    out.extend_from_slice(head.metadata);
    let checksum =
        crc32c::crc32c_append(crc32c::crc32c_append(seed, key), out.get(4..).unwrap_or_default());
    if let Some(field) = out.get_mut(..4) {
        field.copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Cuts an agent's name at the last character that fits.
pub(crate) fn clip_agent(agent: &str) -> &str {
    let mut end = agent.len().min(MAX_AGENT_BYTES);
    while !agent.is_char_boundary(end) {
        end -= 1;
    }
    agent.get(..end).unwrap_or(agent)
}

fn damaged(key: &[u8]) -> Error {
    Error::Corrupt(format!("the checksum of {:?} does not match", String::from_utf8_lossy(key)))
}

/// Frames a row of an internal database: its checksum (over `key` and `payload`), then `payload`.
pub(crate) fn seal(key: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(4 + payload.len());
    let checksum = crc32c::crc32c_append(crc32c::crc32c(key), payload);
    row.extend_from_slice(&checksum.to_le_bytes());
    row.extend_from_slice(payload);
    row
}

/// As [`seal`], for a row whose first four bytes were left for the checksum.
pub(crate) fn seal_in_place(key: &[u8], row: &mut [u8]) {
    if let Some((field, payload)) = row.split_first_chunk_mut::<4>() {
        *field = crc32c::crc32c_append(crc32c::crc32c(key), payload).to_le_bytes();
    }
}

/// The payload of a row written by [`seal`], verified.
pub(crate) fn unseal<'a>(what: &'static str, key: &[u8], row: &'a [u8]) -> Result<&'a [u8]> {
    row.split_at_checked(4)
        .filter(|(checksum, payload)| {
            crc32c::crc32c_append(crc32c::crc32c(key), payload).to_le_bytes() == **checksum
        })
        .map(|(_, payload)| payload)
        .ok_or_else(|| Error::Corrupt(format!("the checksum of a row of the {what} is wrong")))
}

fn take<'a>(rest: &mut &'a [u8], bytes: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(bytes)?;
    *rest = left;
    Some(taken)
}

/// A little-endian `u32` at `offset`.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

/// A little-endian `u64` at `offset`.
pub(crate) fn u64_at(bytes: &[u8], offset: usize) -> Option<u64> {
    bytes.get(offset..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    fn head(expiry: Option<Expiry>, metadata: &[u8]) -> Head<'_> {
        Head {
            version: 7,
            created_at_ms: 1,
            updated_at_ms: 2,
            created_by: "fetcher",
            updated_by: "writer",
            expiry,
            metadata,
        }
    }

    fn record(head: &Head, value: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_head(&mut bytes, namespace_seed("ns"), b"key", head, value);
        bytes.extend_from_slice(value);
        bytes
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let expiry = Some(Expiry { at_ms: 99, sequence: 3 });
        for head in [head(None, b""), head(expiry, b""), head(None, b"{}"), head(expiry, b"{}")] {
            let bytes = record(&head, b"value");
            let read = Record::parse(namespace_seed("ns"), b"key", &bytes).unwrap();
            assert_eq!(read.head, head);
            assert_eq!(read.value(b"key").unwrap(), b"value");
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let bytes = record(&head(Some(Expiry { at_ms: 99, sequence: 3 }), b"{}"), b"value");
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let read = Record::parse(namespace_seed("ns"), b"key", &damaged)
                .and_then(|record| record.value(b"key").map(<[u8]>::to_vec));
            assert!(matches!(read, Err(Error::Corrupt(_))), "bit {bit} was not noticed");
        }
    }

    #[test]
    fn every_truncation_is_noticed() {
        let bytes = record(&head(None, b"{}"), b"value");
        for length in 0..bytes.len() {
            let read = Record::parse(namespace_seed("ns"), b"key", &bytes[..length])
                .and_then(|record| record.value(b"key").map(<[u8]>::to_vec));
            assert!(read.is_err(), "a record of {length} bytes was accepted");
        }
    }

    #[test]
    fn a_record_is_refused_under_another_key_or_namespace() {
        let bytes = record(&head(None, b""), b"value");
        assert!(Record::parse(namespace_seed("ns"), b"kez", &bytes).is_err());
        assert!(Record::parse(namespace_seed("nt"), b"key", &bytes).is_err());
    }

    #[test]
    fn a_long_agent_name_is_cut_at_a_character() {
        let long = "\u{e9}".repeat(MAX_AGENT_BYTES);
        assert_eq!(clip_agent(&long).len(), MAX_AGENT_BYTES);
        assert_eq!(clip_agent("short"), "short");
    }
}
