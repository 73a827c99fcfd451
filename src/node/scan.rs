//! Callbacks that read many entries: ranges, and lists of keys.
//!
//! Entries are collected into chunks inside one native call, on one snapshot, and handed to
//! JavaScript chunk by chunk. No snapshot outlives a call: JavaScript may be stopped between two
//! calls for ever (a debugger, a terminated `vm` script), and a snapshot must not be.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use napi::sys;

use super::call::{Call, RawCallback, Returned, callbacks, check};
use super::namespace::the_namespace;
use super::output::{Report, Writer};
use crate::shared::lock;
use crate::{Namespace, Range, ScanPosition, Visit};

pub(super) const CALLBACKS: &[(&str, RawCallback)] = callbacks![
    "scan" => scan,
    "readMany" => read_many,
    "nextChunk" => next_chunk,
];

/// Most bytes of keys in a chunk, so that a key that JavaScript keeps (a slice of the chunk's
/// string) does not keep much more alive.
const KEY_CHUNK_BYTES: usize = 64 * 1024;
/// Most bytes of values in a chunk, but for a single larger one.
const VALUE_CHUNK_BYTES: usize = 192 * 1024;
/// Stands between keys. A key may contain it, but few do.
const SEPARATOR: char = '\0';

struct Scan {
    /// `None` where everything was collected by the call that made the scan.
    namespace: Option<Arc<Namespace>>,
    with_values: bool,
    state: Mutex<State>,
}

/// What is left of a scan: chunks that were collected, and a range that was not.
#[derive(Default)]
pub(super) struct State {
    ready: VecDeque<Chunk>,
    rest: Option<ScanPosition>,
}

/// Entries on their way to JavaScript.
#[derive(Default)]
struct Chunk {
    keys: String,
    /// Where each key ends in `keys`.
    ends: Vec<usize>,
    /// Each value after its length as a little-endian u32.
    values: Vec<u8>,
}

/// (namespace, withValues, whole, reverse, limit or -1, prefix?, start?, end?) -> scan. With
/// `whole` everything is collected here, from one snapshot; otherwise a chunk at a time.
fn scan(call: &mut Call) -> Returned {
    let namespace = Arc::clone(the_namespace(call)?);
    let (with_values, whole) = (call.boolean(1)?, call.boolean(2)?);
    let range = range(call, 3)?;
    let mut state = State { rest: Some(ScanPosition::new(&range)), ..State::default() };
    if whole {
        state.collect(&namespace, with_values, usize::MAX)?;
    }
    let namespace = Some(namespace);
    call.new_external(Scan { namespace, with_values, state: Mutex::new(state) })
}

/// Five arguments: reverse, limit or -1, prefix?, start?, end?
pub(super) fn range(call: &Call, first: usize) -> Returned<Range> {
    let limit = call.number(first + 1)?;
    Ok(Range {
        reverse: call.boolean(first)?,
        limit: (limit >= 0.0).then_some(limit as u64),
        prefix: call.optional_string(first + 2)?,
        start: call.optional_string(first + 3)?,
        end: call.optional_string(first + 4)?,
    })
}

/// (namespace, keys) -> scan over the entries that exist, in the order of `keys`
fn read_many(call: &mut Call) -> Returned {
    let namespace = the_namespace(call)?;
    let mut state = State::default();
    namespace.read_many(&call.keys(1)?, |key, value| {
        state.push(key, &[value]);
    })?;
    return_collected(call, state)
}

/// Hands everything that was collected to JavaScript, as a scan.
pub(super) fn return_collected(call: &Call, state: State) -> Returned {
    call.new_external(Scan { namespace: None, with_values: true, state: Mutex::new(state) })
}

/// (scan) -> the keys of the next chunk, as one string separated by U+0000, or as an array where
/// a key contains it. The output's header tells how many there are and whether the scan has ended.
fn next_chunk(call: &mut Call) -> Returned {
    let scan: &Scan = call.external(0)?;
    let mut state = lock(&scan.state);
    if let (Some(namespace), true) = (&scan.namespace, state.ready.is_empty()) {
        state.collect(namespace, scan.with_values, 1)?;
    }
    let chunk = state.ready.pop_front().unwrap_or_default();
    let mut writer = Writer::new(&mut call.context.output);
    let mut report = Report { entries: chunk.ends.len(), ..Report::default() };
    if let Err(needed) = writer.append(&[&chunk.values]) {
        report.needed = needed;
        state.ready.push_front(chunk);
        writer.report(report);
        return call.return_undefined();
    }
    report.end = writer.end();
    report.done = state.ready.is_empty() && state.rest.is_none();
    writer.report(report);
    drop(state);
    chunk.into_keys(call)
}

impl State {
    /// Collects up to `chunks` chunks of the rest, on one snapshot.
    fn collect(&mut self, namespace: &Namespace, with_values: bool, chunks: usize) -> Returned<()> {
        let Some(mut rest) = self.rest.take() else { return Ok(()) };
        let done = rest.next_chunk(namespace, |entry| {
            let value = if with_values { Some(entry.value()?) } else { None };
            let bytes = value.map_or(0, <[u8]>::len);
            if self.ready.len() >= chunks && !self.has_room(entry.key(), bytes) {
                return Ok(Visit::Full);
            }
            self.chunk_for(entry.key(), bytes).push(entry.key(), value.as_slice());
            Ok(Visit::Taken)
        })?;
        if !done {
            self.rest = Some(rest);
        }
        Ok(())
    }

    /// Appends a key and its values.
    pub fn push(&mut self, key: &str, values: &[&[u8]]) {
        let bytes = values.iter().map(|value| value.len()).sum();
        self.chunk_for(key, bytes).push(key, values);
    }

    fn has_room(&self, key: &str, value_bytes: usize) -> bool {
        self.ready.back().is_some_and(|chunk| chunk.has_room(key, value_bytes))
    }

    /// The last chunk, or a new one if it has no room.
    fn chunk_for(&mut self, key: &str, value_bytes: usize) -> &mut Chunk {
        if !self.has_room(key, value_bytes) {
            self.ready.push_back(Chunk::default());
        }
        match self.ready.back_mut() {
            Some(chunk) => chunk,
            None => unreachable!("a chunk was just pushed"),
        }
    }
}

impl Chunk {
    fn has_room(&self, key: &str, value_bytes: usize) -> bool {
        self.keys.len() + key.len() < KEY_CHUNK_BYTES
            && self.values.len() + value_bytes < VALUE_CHUNK_BYTES
    }

    fn push(&mut self, key: &str, values: &[&[u8]]) {
        if !self.ends.is_empty() {
            self.keys.push(SEPARATOR);
        }
        self.keys.push_str(key);
        self.ends.push(self.keys.len());
        for value in values {
            // The cast loses nothing: a value has at most 512 MiB.
            self.values.extend_from_slice(&(value.len() as u32).to_le_bytes());
            self.values.extend_from_slice(value);
        }
    }

    fn into_keys(self, call: &Call) -> Returned {
        let separators = self.keys.bytes().filter(|byte| *byte == SEPARATOR as u8).count();
        if separators == self.ends.len().saturating_sub(1) {
            return call.return_string(&self.keys);
        }
        let mut array = std::ptr::null_mut();
        // SAFETY: plain Node-API calls.
        check(unsafe {
            sys::napi_create_array_with_length(call.env, self.ends.len(), &mut array)
        })?;
        let mut start = 0;
        for (index, end) in (0..).zip(self.ends) {
            let key = call.return_string(self.keys.get(start..end).unwrap_or_default())?;
            // SAFETY: plain Node-API call.
            check(unsafe { sys::napi_set_element(call.env, array, index, key) })?;
            start = end + 1;
        }
        Ok(array)
    }
}
