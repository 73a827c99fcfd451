//! Callbacks of watchers.

use std::sync::{Arc, Mutex};

use super::call::{Call, RawCallback, Returned, callbacks};
use super::listener::channel;
use super::output::{Report, Writer, write_text};
use crate::shared::lock;
use crate::value::write_number;
use crate::{Interest, Store, WatchedChange, Watcher};

pub(super) const CALLBACKS: &[(&str, RawCallback)] = callbacks![
    "watch" => watch,
    "watcherId" => watcher_id,
    "readChanges" => read_changes,
    "unwatch" => unwatch,
];

/// Bytes of changes that are read at a time: a value is read shortly before it is told.
const CHUNK_BYTES: usize = 64 * 1024;

/// A watcher, and what it has read that JavaScript has not taken.
struct Watching {
    watcher: Watcher,
    packed: Packed,
}

/// Changes on their way out: fields and, for a set, value, each after its length as a
/// little-endian u32.
#[derive(Default)]
struct Packed {
    count: usize,
    bytes: Vec<u8>,
}

/// `None` after `unwatch`.
type Held = Mutex<Option<Watching>>;

/// (store, namespace?, key?, prefix?, since or -1) -> watcher
fn watch(call: &mut Call) -> Returned {
    let store: &Arc<Store> = call.external(0)?;
    let prefix = call.optional_string(3)?.unwrap_or_default();
    let interest = match (call.optional_string(1)?, call.optional_key(2)?) {
        (Some(namespace), Some(key)) => Interest::Key { namespace, key },
        (Some(namespace), None) => Interest::Prefix { namespace, prefix },
        (None, _) => Interest::Namespaces { prefix },
    };
    let since = call.number(4)?;
    let since = (since >= 0.0).then_some(since as u64);
    let watcher = store.watch(interest, since, channel(call)?)?;
    call.new_external(Held::new(Some(Watching { watcher, packed: Packed::default() })))
}

/// (watcher) -> the id that `takeReady` will give when there is something to read
fn watcher_id(call: &mut Call) -> Returned {
    let held: &Held = call.external(0)?;
    let id = lock(held).as_ref().map_or(0, |watching| watching.watcher.id());
    call.return_number(id as f64)
}

/// (watcher) -> undefined; the output's header tells how many changes are in it. None: wait.
fn read_changes(call: &mut Call) -> Returned {
    let held: &Held = call.external(0)?;
    let mut report = Report::default();
    let mut writer = Writer::new(&mut call.context.output);
    if let Some(watching) = &mut *lock(held) {
        if watching.packed.count == 0 {
            watching.packed = pack(&watching.watcher.read(CHUNK_BYTES)?);
        }
        match writer.append(&[&watching.packed.bytes]) {
            Ok(()) => {
                report.entries = std::mem::take(&mut watching.packed).count;
                report.end = writer.end();
            }
            Err(needed) => report.needed = needed,
        }
    }
    writer.report(report);
    call.return_undefined()
}

/// (watcher) -> undefined
fn unwatch(call: &mut Call) -> Returned {
    let held: &Held = call.external(0)?;
    *lock(held) = None;
    call.return_undefined()
}

fn pack(changes: &[WatchedChange]) -> Packed {
    let mut packed = Packed { count: changes.len(), bytes: Vec::new() };
    let mut fields = Vec::new();
    for change in changes {
        fields.clear();
        // kind (0: reset), namespace, key, version, last
        fields.push(0x90 | 5);
        fields.push(change.kind.map_or(0, |kind| kind as u8));
        write_text(&mut fields, change.namespace.as_bytes());
        write_text(&mut fields, change.key.as_bytes());
        write_number(&mut fields, change.version as f64);
        fields.push(if change.last { 0xc3 } else { 0xc2 });
        append(&mut packed.bytes, &fields);
        if let Some(value) = &change.value {
            append(&mut packed.bytes, value);
        }
    }
    packed
}

fn append(bytes: &mut Vec<u8>, part: &[u8]) {
    // The cast loses nothing: a value has at most 512 MiB.
    bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
    bytes.extend_from_slice(part);
}
