//! Callbacks that read many entries: ranges, and lists of keys.
//!
//! A chunk leaves the values in the output buffer and returns the keys as one string, which
//! JavaScript splits: creating a string per key through Node-API costs three times as much.

use std::sync::{Arc, Mutex};

use napi::sys;

use super::call::{Call, RawCallback, Returned, callbacks, check};
use super::namespace::the_namespace;
use super::output::{HEADER_BYTES, Report, Writer};
use crate::shared::lock;
use crate::{Namespace, PointReads, Range, ScanPosition, Visit};

pub(super) const CALLBACKS: &[(&str, RawCallback)] = callbacks![
    "scan" => scan,
    "readMany" => read_many,
    "nextChunk" => next_chunk,
    "endScan" => end_scan,
];

/// Most bytes of keys in a chunk, so that a key that JavaScript keeps (a slice of the chunk's
/// string) does not keep much more alive.
const MAX_KEY_CHUNK_BYTES: usize = 64 * 1024;
/// Most entries in a chunk of values.
const SEPARATOR: char = '\0';

struct ActiveScan {
    namespace: Arc<Namespace>,
    with_values: bool,
    position: Mutex<Option<Position>>,
}

enum Position {
    Range(ScanPosition),
    Keys(PointReads),
}

/// (namespace, withValues, pinned, reverse, limit or -1, prefix?, start?, end?) -> scan
fn scan(call: &mut Call) -> Returned {
    let namespace = Arc::clone(the_namespace(call)?);
    let limit = call.number(4)?;
    let range = Range {
        reverse: call.boolean(3)?,
        limit: (limit >= 0.0).then_some(limit as u64),
        prefix: call.optional_string(5)?,
        start: call.optional_string(6)?,
        end: call.optional_string(7)?,
    };
    let position = ScanPosition::new(&namespace, &range, call.boolean(2)?)?;
    new_scan(call, namespace, call.boolean(1)?, Position::Range(position))
}

/// (namespace, keys) -> scan over the entries that exist, in the order of `keys`
fn read_many(call: &mut Call) -> Returned {
    let namespace = Arc::clone(the_namespace(call)?);
    let position = Position::Keys(PointReads::new(&namespace, call.keys(1)?)?);
    new_scan(call, namespace, true, position)
}

fn new_scan(
    call: &Call,
    namespace: Arc<Namespace>,
    with_values: bool,
    position: Position,
) -> Returned {
    let position = Mutex::new(Some(position));
    call.new_external(ActiveScan { namespace, with_values, position })
}

/// (scan) -> the keys of the chunk, as one string separated by U+0000, or as an array where a key
/// contains it. The output's header tells how many there are and whether the scan has ended.
fn next_chunk(call: &mut Call) -> Returned {
    let scan: &ActiveScan = call.external(0)?;
    let mut position = lock(&scan.position);
    let mut keys = Keys::default();
    let mut report = Report { done: true, ..Report::default() };
    let mut writer = Writer::new(&mut call.context.output);
    let mut visit = |key: &str, value: Option<&[u8]>| {
        if report.entries > 0 && keys.text.len() + key.len() > MAX_KEY_CHUNK_BYTES {
            return Visit::Full;
        }
        if let Err(needed) = writer.append(&[value.unwrap_or_default()]) {
            // The next call, with an empty buffer, may have room for it.
            report.needed = if report.entries == 0 { needed } else { 0 };
            return Visit::Full;
        }
        report.entries += 1;
        keys.push(key);
        Visit::Taken
    };
    let with_values = scan.with_values;
    report.done = match &mut *position {
        None => true,
        Some(Position::Range(position)) => position.next_chunk(&scan.namespace, |entry| {
            let value = if with_values { Some(entry.value()?) } else { None };
            Ok(visit(entry.key(), value))
        })?,
        Some(Position::Keys(reads)) => {
            reads.next_chunk(&scan.namespace, |key, value| visit(key, Some(value)))?
        }
    };
    if report.done {
        *position = None;
    }
    report.end = writer.end();
    writer.report(report);
    keys.into_value(call)
}

/// (scan): releases its snapshot
fn end_scan(call: &mut Call) -> Returned {
    let scan: &ActiveScan = call.external(0)?;
    *lock(&scan.position) = None;
    call.return_undefined()
}

/// The keys of a chunk.
#[derive(Default)]
struct Keys {
    text: String,
    /// Where each key ends, once one of them contains the separator.
    count: usize,
    ends: Vec<usize>,
    has_separator: bool,
}

impl Keys {
    fn push(&mut self, key: &str) {
        if self.count > 0 {
            self.text.push(SEPARATOR);
        }
        self.text.push_str(key);
        self.count += 1;
        self.ends.push(self.text.len());
        self.has_separator |= key.contains(SEPARATOR);
    }

    fn into_value(self, call: &Call) -> Returned {
        if !self.has_separator {
            return call.return_string(&self.text);
        }
        let mut array = std::ptr::null_mut();
        // SAFETY: plain Node-API calls.
        check(unsafe { sys::napi_create_array_with_length(call.env, self.count, &mut array) })?;
        let mut start = 0;
        for (index, end) in (0..).zip(self.ends) {
            let key = call.return_string(self.text.get(start..end).unwrap_or_default())?;
            // SAFETY: plain Node-API call.
            check(unsafe { sys::napi_set_element(call.env, array, index, key) })?;
            start = end + 1;
        }
        Ok(array)
    }
}

const _: () = assert!(HEADER_BYTES == 64);
