//! Callbacks of a namespace. Reads leave values in the output buffer (output.rs).

use std::sync::Arc;

use super::arguments::packed;
use super::call::{Call, RawCallback, Returned, callbacks};
use super::output::{HEADER_BYTES, Writer, write_text};
use crate::error::Error;
use crate::packed::unpack;
use crate::{EntryHead, MetadataPatch, Namespace, Store, Ttl};

pub(super) const CALLBACKS: &[(&str, RawCallback)] = callbacks![
    "namespace" => namespace,
    "get" => get,
    "getEntry" => get_entry,
    "has" => has,
    "count" => count,
    "set" => set,
    "setMany" => set_many,
    "increment" => increment,
    "delete" => delete,
    "deleteMany" => delete_many,
    "clear" => clear,
    "throwConflict" => throw_conflict,
];

/// What `get` and `getEntry` return where there is no entry.
const ABSENT: f64 = -1.0;

pub(super) fn the_namespace(call: &Call) -> Returned<&'static Arc<Namespace>> {
    call.external(0)
}

/// (store, name) -> namespace
fn namespace(call: &mut Call) -> Returned {
    let store: &Arc<Store> = call.external(0)?;
    let name = call.string(call.argument(1))?;
    call.new_external(Arc::new(store.namespace(&name)?))
}

/// (namespace, key) -> end of the value in the output, or -1, or -needed where it has no room
fn get(call: &mut Call) -> Returned {
    let namespace = the_namespace(call)?;
    let end = call.with_key(1, |call, key| {
        let mut writer = Writer::new(&mut call.context.output);
        let read =
            namespace.get_with(key, |value| writer.append(&[value]).map(|()| writer.end()))?;
        Ok(end_or_needed(read))
    })?;
    call.return_number(end)
}

/// (namespace, key) -> as `get`; the output holds an array of the fields, then the value, each
/// after its length as a little-endian u32
fn get_entry(call: &mut Call) -> Returned {
    let namespace = the_namespace(call)?;
    let end = call.with_key(1, |call, key| {
        let mut writer = Writer::new(&mut call.context.output);
        let read =
            namespace.get_entry_with(key, |head, value| write_entry(&mut writer, head, value))?;
        Ok(end_or_needed(read))
    })?;
    call.return_number(end)
}

/// Leaves an entry in the output; its end, or how much room it needs.
pub(super) fn write_entry(
    writer: &mut Writer,
    head: &EntryHead,
    value: &[u8],
) -> Result<usize, usize> {
    let fields = encode_head(head);
    let lengths = [fields.len(), value.len()].map(|bytes| (bytes as u32).to_le_bytes());
    let [fields_length, value_length] = &lengths;
    writer.append(&[fields_length, &fields, value_length, value]).map(|()| writer.end())
}

/// What `get` and `getEntry` return.
pub(super) fn end_or_needed(read: Option<Result<usize, usize>>) -> f64 {
    match read {
        None => ABSENT,
        Some(Ok(end)) => end as f64,
        Some(Err(needed)) => -(needed as f64),
    }
}

/// version, createdAt, updatedAt, expiresAt or null, createdBy, updatedBy, metadata as JSON
fn encode_head(head: &EntryHead) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + head.metadata.len());
    out.push(0x90 | 7);
    for number in [head.version, head.created_at_ms, head.updated_at_ms] {
        crate::value::write_number(&mut out, number as f64);
    }
    match head.expires_at_ms {
        Some(at_ms) => crate::value::write_number(&mut out, at_ms as f64),
        None => out.push(0xc0),
    }
    let metadata = if head.metadata.is_empty() { b"{}" } else { head.metadata };
    for text in [head.created_by.as_bytes(), head.updated_by.as_bytes(), metadata] {
        write_text(&mut out, text);
    }
    out
}

fn has(call: &mut Call) -> Returned {
    let namespace = the_namespace(call)?;
    let has = call.with_key(1, |_, key| Ok(namespace.has(key)?))?;
    call.return_boolean(has)
}

fn count(call: &mut Call) -> Returned {
    let count = the_namespace(call)?.count()?;
    call.return_number(count as f64)
}

/// A time to live: -1 keeps the one there is, 0 is none.
pub(super) fn ttl(call: &Call, index: usize) -> Returned<Ttl> {
    let milliseconds = call.number(index)?;
    Ok(if milliseconds < 0.0 {
        Ttl::Keep
    } else if milliseconds == 0.0 {
        Ttl::Never
    } else {
        Ttl::AfterMs(milliseconds as u64)
    })
}

/// Metadata as JSON text, checked by the face; undefined for none.
pub(super) fn metadata(call: &Call, index: usize) -> Returned<Option<MetadataPatch>> {
    call.optional_string(index)?
        .map(|json| {
            serde_json::from_str(&json).map_err(|error| {
                Error::InvalidOption(format!(
                    "metadata is JSON, nested at most 127 levels deep ({error})"
                ))
                .into()
            })
        })
        .transpose()
}

/// A version that is required: -1 for none.
pub(super) fn required_version(call: &Call, index: usize) -> Returned<Option<u64>> {
    let version = call.number(index)?;
    Ok((version >= 0.0).then_some(version as u64))
}

/// (namespace, key, value, ttl, metadata?, ifVersion) -> version
fn set(call: &mut Call) -> Returned {
    let namespace = the_namespace(call)?;
    let (ttl, metadata) = (ttl(call, 3)?, metadata(call, 4)?);
    let if_version = required_version(call, 5)?;
    let version = call.with_key(1, |call, key| {
        let value = call.buffer(2)?;
        Ok(namespace.set(key, value, ttl, metadata.as_ref(), if_version)?)
    })?;
    call.return_number(version as f64)
}

/// (namespace, packed, bytes, ttl, metadata?) -> count; `packed` as `unpack` reads it
fn set_many(call: &mut Call) -> Returned {
    let (ttl, metadata) = (ttl(call, 3)?, metadata(call, 4)?);
    let entries = unpack(packed(call, 1, 2)?)?;
    let count = the_namespace(call)?.set_many(entries, ttl, metadata.as_ref())?;
    call.return_number(count as f64)
}

/// (namespace, key, by) -> sum
fn increment(call: &mut Call) -> Returned {
    let namespace = the_namespace(call)?;
    let by = call.number(2)?;
    let sum = call.with_key(1, |_, key| Ok(namespace.increment(key, by)?))?;
    call.return_number(sum)
}

/// (namespace, key, ifVersion) -> whether there was one
fn delete(call: &mut Call) -> Returned {
    let namespace = the_namespace(call)?;
    let if_version = required_version(call, 2)?;
    let deleted = call.with_key(1, |_, key| Ok(namespace.delete(key, if_version)?))?;
    call.return_boolean(deleted)
}

/// (namespace, keys) -> how many there were
fn delete_many(call: &mut Call) -> Returned {
    let keys = call.keys(1)?;
    let removed = the_namespace(call)?.delete_many(keys.iter().map(String::as_str))?;
    call.return_number(removed as f64)
}

/// (namespace, prefix) -> how many there were
fn clear(call: &mut Call) -> Returned {
    let prefix = call.optional_string(1)?.unwrap_or_default();
    let removed = the_namespace(call)?.clear(&prefix)?;
    call.return_number(removed as f64)
}

/// (namespace, key, expected, actual): throws what a conflict of these versions throws
fn throw_conflict(call: &mut Call) -> Returned {
    let namespace = the_namespace(call)?.name().to_owned();
    let (expected, actual) = (call.number(2)? as u64, call.number(3)? as u64);
    let key = call.string(call.argument(1))?;
    Err(Error::Conflict { namespace, key, expected, actual }.into())
}
