//! Callbacks of a queue. Tasks go to JavaScript as scans (scan.rs), because the output buffer may
//! have no room for a task that is claimed already.

use std::sync::{Arc, Mutex};

use super::arguments::packed;
use super::call::{Call, RawCallback, Returned, callbacks};
use super::output::write_text;
use super::scan::{State, return_collected};
use crate::packed::unpack;
use crate::queue::Token;
use crate::shared::lock;
use crate::value::write_number;
use crate::{ClaimedTask, Hold, Queue, QueueOptions, Store, TaskState, TaskStatus};

pub(super) const CALLBACKS: &[(&str, RawCallback)] = callbacks![
    "queue" => queue,
    "pushTasks" => push_tasks,
    "claimTask" => claim_task,
    "holdTask" => hold_task,
    "releaseTask" => release_task,
    "renewTask" => renew_task,
    "completeTask" => complete_task,
    "failTask" => fail_task,
    "getTask" => get_task,
    "listTasks" => list_tasks,
    "listResults" => list_results,
    "queueStats" => queue_stats,
    "readyIn" => ready_in,
    "retryDead" => retry_dead,
    "clearQueue" => clear_queue,
];

/// MessagePack's nil.
const NIL: &[u8] = &[0xc0];

pub(super) fn the_queue(call: &Call) -> Returned<&'static Arc<Queue>> {
    call.external(0)
}

/// The id of the task that a worker means.
pub(super) fn task_id(call: &Call) -> Returned<String> {
    call.string(call.argument(1))
}

/// What the worker holds of the task.
fn token<'a>(call: &Call, id: &'a str) -> Returned<Token<'a>> {
    Ok(Token { id, created: call.number(2)? as u64, attempt: call.number(3)? as u64 })
}

/// (store, name, lease, maxAttempts) -> queue
fn queue(call: &mut Call) -> Returned {
    let store: &Arc<Store> = call.external(0)?;
    let name = call.string(call.argument(1))?;
    let lease_ms = call.number(2)? as u64;
    let options = QueueOptions { lease_ms, max_attempts: call.number(3)? as u32 };
    call.new_external(Arc::new(store.queue(&name, options)?))
}

/// (queue, packed ids and items, bytes, delay)
fn push_tasks(call: &mut Call) -> Returned {
    let delay_ms = call.number(3)? as u64;
    the_queue(call)?.push(unpack(packed(call, 1, 2)?)?, delay_ms)?;
    call.return_undefined()
}

/// (queue) -> scan with the version that pushed a task, its attempt and its item, or undefined
fn claim_task(call: &mut Call) -> Returned {
    let Some(task) = the_queue(call)?.claim()? else { return call.return_undefined() };
    return_collected(call, claimed(&task))
}

/// A claimed task on its way to JavaScript.
pub(super) fn claimed(task: &ClaimedTask) -> State {
    let (mut created, mut attempt) = (Vec::new(), Vec::new());
    write_number(&mut created, task.created as f64);
    write_number(&mut attempt, task.attempt as f64);
    let mut state = State::default();
    state.push(&task.id, &[&created, &attempt, &task.item]);
    state
}

/// (queue, id, created, attempt) -> hold
fn hold_task(call: &mut Call) -> Returned {
    let id = task_id(call)?;
    let token = token(call, &id)?;
    let hold = the_queue(call)?.hold(token)?;
    call.new_external(Mutex::new(Some(hold)))
}

fn release_task(call: &mut Call) -> Returned {
    let hold: &Mutex<Option<Hold>> = call.external(0)?;
    *lock(hold) = None;
    call.return_undefined()
}

/// (queue, id, created, attempt, milliseconds)
fn renew_task(call: &mut Call) -> Returned {
    let id = task_id(call)?;
    let token = token(call, &id)?;
    the_queue(call)?.renew(token, call.number(4)? as u64)?;
    call.return_undefined()
}

/// (queue, id, created, attempt, result?)
fn complete_task(call: &mut Call) -> Returned {
    let id = task_id(call)?;
    let token = token(call, &id)?;
    the_queue(call)?.complete(token, call.optional_buffer(4)?)?;
    call.return_undefined()
}

/// (queue, id, created, attempt, error, retryIn)
fn fail_task(call: &mut Call) -> Returned {
    let id = task_id(call)?;
    let token = token(call, &id)?;
    let error = call.string(call.argument(4))?;
    the_queue(call)?.fail(token, &error, call.number(5)? as u64)?;
    call.return_undefined()
}

/// Appends a task: an array of its fields, its item, its result or nil.
fn push_state(state: &mut State, task: &TaskState) {
    let mut fields = vec![0x90 | 6];
    write_text(&mut fields, task.status.name().as_bytes());
    write_number(&mut fields, task.attempt as f64);
    write_optional(&mut fields, task.claim.map(|(agent, _)| agent));
    write_number(&mut fields, task.claim.map_or(0.0, |(_, expires_at_ms)| expires_at_ms as f64));
    write_optional(&mut fields, task.error);
    fields.push(if task.result.is_some() { 0xc3 } else { 0xc2 });
    state.push(task.id, &[&fields, task.item, task.result.unwrap_or(NIL)]);
}

fn write_optional(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => write_text(out, text.as_bytes()),
        None => out.extend_from_slice(NIL),
    }
}

/// (queue, id) -> scan with the task, if there is one
fn get_task(call: &mut Call) -> Returned {
    let id = call.string(call.argument(1))?;
    let mut state = State::default();
    the_queue(call)?.get(&id, |task| push_state(&mut state, task))?;
    return_collected(call, state)
}

/// (queue, status?, limit or -1) -> scan
fn list_tasks(call: &mut Call) -> Returned {
    let status = call.optional_string(1)?;
    let limit = call.number(2)?;
    let limit = if limit >= 0.0 { limit as u64 } else { u64::MAX };
    let mut state = State::default();
    let status = status.as_deref().and_then(TaskStatus::from_name);
    the_queue(call)?.list(status, limit, |task| push_state(&mut state, task))?;
    return_collected(call, state)
}

/// (queue) -> scan with whether there is a result, and the result or nil
fn list_results(call: &mut Call) -> Returned {
    let mut state = State::default();
    the_queue(call)?.results(|id, result| {
        let is_there = if result.is_some() { 0xc3 } else { 0xc2 };
        state.push(id, &[&[is_there], result.unwrap_or(NIL)]);
    })?;
    return_collected(call, state)
}

/// (queue) -> JSON
fn queue_stats(call: &mut Call) -> Returned {
    let stats = the_queue(call)?.stats()?;
    let json = serde_json::json!({
        "pending": stats.pending,
        "delayed": stats.delayed,
        "claimed": stats.claimed,
        "completed": stats.completed,
        "dead": stats.dead,
    });
    call.return_string(&json.to_string())
}

/// (queue) -> milliseconds until a claim would find something, or -1 where nothing waits
fn ready_in(call: &mut Call) -> Returned {
    let ready_in_ms = the_queue(call)?.ready_in_ms()?;
    call.return_number(ready_in_ms.map_or(-1.0, |ms| ms as f64))
}

/// (queue) -> how many there were
fn retry_dead(call: &mut Call) -> Returned {
    let count = the_queue(call)?.retry_dead()?;
    call.return_number(count as f64)
}

/// (queue) -> how many there were
fn clear_queue(call: &mut Call) -> Returned {
    let count = the_queue(call)?.clear()?;
    call.return_number(count as f64)
}
