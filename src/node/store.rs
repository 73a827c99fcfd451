//! Callbacks of a store.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::call::{Call, RawCallback, Returned, callbacks};
use crate::turn::Turn;
use crate::{Code, Durability, HistoryLimits, OpenOptions, Store};

pub(super) const CALLBACKS: &[(&str, RawCallback)] = callbacks![
    "setErrorMaker" => set_error_maker,
    "setOutput" => set_output,
    "retryableCodes" => retryable_codes,
    "check" => check,
    "crashReport" => crash_report,
    "open" => open,
    "path" => path,
    "agent" => agent,
    "listNamespaces" => list_namespaces,
    "stats" => stats,
    "flush" => flush,
    "takeTurn" => take_turn,
    "tryTurn" => try_turn,
    "endTurn" => end_turn,
    "close" => close,
];

fn set_error_maker(call: &mut Call) -> Returned {
    call.keep_error_maker(0)?;
    call.return_undefined()
}

fn set_output(call: &mut Call) -> Returned {
    call.use_output(0)?;
    call.return_undefined()
}

/// The codes of errors after which the same call may succeed, separated by spaces.
fn retryable_codes(call: &mut Call) -> Returned {
    let codes = Code::ALL.iter().filter(|(.., retryable)| *retryable).map(|(_, name, _)| *name);
    call.return_string(&codes.collect::<Vec<_>>().join(" "))
}

fn history_limits(call: &Call) -> Returned<HistoryLimits> {
    let HistoryLimits { max_bytes, max_age_ms } = HistoryLimits::default();
    let or = |number: f64, default| if number >= 0.0 { number as u64 } else { default };
    Ok(HistoryLimits {
        max_bytes: or(call.number(4)?, max_bytes),
        max_age_ms: or(call.number(5)?, max_age_ms),
    })
}

/// (path?, agent, maxSize or -1, readOnly, history's maxBytes or -1, its maxAge or -1,
/// busyTimeout or -1, whether relaxed, flushInterval or -1) -> store
fn open(call: &mut Call) -> Returned {
    let max_size = call.number(2)?;
    let duration = |ms: f64| (ms >= 0.0).then(|| Duration::from_millis(ms as u64));
    let store = Store::open(&OpenOptions {
        path: call.optional_string(0)?.map(PathBuf::from),
        agent: call.optional_string(1)?,
        max_size: (max_size >= 0.0).then_some(max_size as u64),
        read_only: call.boolean(3)?,
        history: history_limits(call)?,
        busy_timeout: duration(call.number(6)?),
        durability: if call.boolean(7)? { Durability::Relaxed } else { Durability::Strict },
        flush_interval: duration(call.number(8)?),
    })?;
    call.new_external(Arc::new(store))
}

/// (path?, how an earlier check was killed?) -> report as JSON
fn check(call: &mut Call) -> Returned {
    let path = call.optional_string(0)?.map(PathBuf::from);
    let report = crate::check(path.as_deref(), call.optional_string(1)?.as_deref())?;
    call.return_string(&report.to_json().to_string())
}

/// (path, how the check was killed) -> report as JSON
fn crash_report(call: &mut Call) -> Returned {
    let path = PathBuf::from(call.optional_string(0)?.unwrap_or_default());
    let crash = call.optional_string(1)?.unwrap_or_default();
    call.return_string(&crate::crash_report(&path, &crash).to_json().to_string())
}

pub(super) fn store(call: &Call) -> Returned<&'static Arc<Store>> {
    call.external(0)
}

fn path(call: &mut Call) -> Returned {
    call.return_string(&store(call)?.path().to_string_lossy())
}

fn agent(call: &mut Call) -> Returned {
    call.return_string(store(call)?.agent())
}

/// (store, prefix) -> names, separated by U+0000, which no name contains
fn list_namespaces(call: &mut Call) -> Returned {
    let prefix = call.optional_string(1)?.unwrap_or_default();
    call.return_string(&store(call)?.list_namespaces(&prefix)?.join("\0"))
}

/// (store) -> JSON
fn stats(call: &mut Call) -> Returned {
    let stats = store(call)?.stats()?;
    let processes: Vec<_> = stats
        .processes
        .iter()
        .map(|process| {
            serde_json::json!({
                "pid": process.pid,
                "agent": process.agent,
                "oldestSnapshotMs": process.oldest_snapshot_ms,
            })
        })
        .collect();
    let json = serde_json::json!({
        "namespaces": stats.namespaces,
        "keys": stats.keys,
        "usedBytes": stats.used_bytes,
        "freeBytes": stats.free_bytes,
        "maxBytes": stats.max_bytes,
        "lastVersion": stats.last_version,
        "processes": processes,
        "checkpoint": stats.checkpoint.map(|checkpoint| serde_json::json!({
            "version": checkpoint.version,
            "at": checkpoint.at_ms,
        })),
        "recovery": stats.recovery.map(|recovery| serde_json::json!({
            "commits": recovery.commits,
            "version": recovery.version,
            "since": recovery.since_ms,
            "at": recovery.at_ms,
        })),
    });
    call.return_string(&json.to_string())
}

fn flush(call: &mut Call) -> Returned {
    store(call)?.flush()?;
    call.return_undefined()
}

/// (store, milliseconds) -> turn
fn take_turn(call: &mut Call) -> Returned {
    let wait = Duration::from_millis(call.number(1)? as u64);
    let turn = store(call)?.take_turn(wait)?;
    call.new_external(std::sync::Mutex::new(turn))
}

/// (store) -> turn, or undefined where somebody else has it
fn try_turn(call: &mut Call) -> Returned {
    match store(call)?.take_turn(Duration::ZERO)? {
        Some(turn) => call.new_external(std::sync::Mutex::new(Some(turn))),
        None => call.return_undefined(),
    }
}

fn end_turn(call: &mut Call) -> Returned {
    let turn: &std::sync::Mutex<Option<Turn>> = call.external(0)?;
    *crate::shared::lock(turn) = None;
    call.return_undefined()
}

fn close(call: &mut Call) -> Returned {
    store(call)?.close();
    call.return_undefined()
}
