//! Requests: calls that return at once. What comes of them is left, with the id that JavaScript
//! gave, for the thread that asked. Each callback takes the arguments of its synchronous twin, and
//! the id.

use std::path::PathBuf;
use std::ptr;
use std::sync::Arc;

use napi::sys;

use super::arguments::packed;
use super::call::{Call, RawCallback, Returned, callbacks, check};
use super::listener::listener;
use super::namespace::{metadata, required_version, the_namespace, ttl};
use super::queue::{claimed, task_id, the_queue};
use super::scan::return_collected;
use super::store::store;
use super::transaction;
use crate::error::{Error, Result};
use crate::{Claim, ClaimedTask, Committed, Done, NamespaceWrite, OwnedToken, QueueWrite, Store};

pub(super) const CALLBACKS: &[(&str, RawCallback)] = callbacks![
    "takeReplies" => take_replies,
    "requestSet" => set,
    "requestSetMany" => set_many,
    "requestIncrement" => increment,
    "requestDelete" => delete,
    "requestDeleteMany" => delete_many,
    "requestClear" => clear,
    "requestCommit" => commit,
    "requestPush" => push,
    "requestClaim" => claim,
    "requestRenew" => renew,
    "requestComplete" => complete,
    "requestFail" => fail,
    "requestRetryDead" => retry_dead,
    "requestClearQueue" => clear_queue,
    "requestFlush" => flush,
    "requestClose" => close,
    "requestBackup" => backup,
];

/// What came of a request.
pub(super) struct Reply {
    id: f64,
    result: Result<Answer>,
}

/// What a request that succeeded gives.
enum Answer {
    Undefined,
    Number(f64),
    Boolean(bool),
    Task(Box<ClaimedTask>),
}

/// () -> id and answer of each, one after the other. An error is an array: code, message. A task is
/// a scan, as of `claimTask`.
fn take_replies(call: &mut Call) -> Returned {
    let replies = listener(call)?.replies.take();
    let mut array = ptr::null_mut();
    // SAFETY: plain Node-API call.
    check(unsafe { sys::napi_create_array_with_length(call.env, 2 * replies.len(), &mut array) })?;
    for (index, reply) in (0..).step_by(2).zip(replies) {
        let answer = match reply.result {
            Ok(Answer::Undefined) => call.return_undefined(),
            Ok(Answer::Number(number)) => call.return_number(number),
            Ok(Answer::Boolean(boolean)) => call.return_boolean(boolean),
            Ok(Answer::Task(task)) => return_collected(call, claimed(&task)),
            Err(error) => return_error(call, &error),
        };
        let id = call.return_number(reply.id)?;
        // SAFETY: plain Node-API calls.
        check(unsafe { sys::napi_set_element(call.env, array, index, id) })?;
        check(unsafe { sys::napi_set_element(call.env, array, index + 1, answer?) })?;
    }
    Ok(array)
}

fn return_error(call: &Call, error: &Error) -> Returned {
    let mut array = ptr::null_mut();
    let (code, message) = (error.code().as_str(), error.to_string());
    let texts = [call.return_string(code)?, call.return_string(&message)?];
    // SAFETY: plain Node-API calls.
    check(unsafe { sys::napi_create_array_with_length(call.env, texts.len(), &mut array) })?;
    for (index, text) in (0..).zip(texts) {
        // SAFETY: plain Node-API call.
        check(unsafe { sys::napi_set_element(call.env, array, index, text) })?;
    }
    Ok(array)
}

/// Leaves a reply for the calling thread, from whichever thread it is called on.
fn replier(call: &Call, id: usize) -> Returned<impl FnOnce(Result<Answer>) + Send + 'static> {
    let (replies, id) = (Arc::clone(&listener(call)?.replies), call.number(id)?);
    Ok(move |result| replies.leave([Reply { id, result }]))
}

/// As `replier`, for a write.
fn done(call: &Call, id: usize, answer: fn(Committed) -> Answer) -> Returned<Done> {
    let reply = replier(call, id)?;
    Ok(Box::new(move |result| reply(result.map(answer))))
}

fn no_answer(_: Committed) -> Answer {
    Answer::Undefined
}

fn version(committed: Committed) -> Answer {
    Answer::Number(committed.version.unwrap_or_default() as f64)
}

fn count(committed: Committed) -> Answer {
    Answer::Number(committed.outcomes.len() as f64)
}

fn incremented(committed: Committed) -> Answer {
    Answer::Number(committed.incremented())
}

fn is_removed(committed: Committed) -> Answer {
    Answer::Boolean(committed.removed() > 0)
}

fn removed(committed: Committed) -> Answer {
    Answer::Number(committed.removed() as f64)
}

fn restored(committed: Committed) -> Answer {
    Answer::Number(committed.restored() as f64)
}

fn the_claimed(committed: Committed) -> Answer {
    match committed.claimed() {
        Claim::Task(task) => Answer::Task(task),
        Claim::Again => Answer::Boolean(true),
        Claim::Nothing => Answer::Boolean(false),
    }
}

fn request(call: &Call, write: NamespaceWrite, done: Done) -> Returned {
    the_namespace(call)?.submit(write, done)?;
    call.return_undefined()
}

/// (namespace, key, value, ttl, metadata?, ifVersion, id)
fn set(call: &mut Call) -> Returned {
    let (ttl, metadata) = (ttl(call, 3)?, metadata(call, 4)?);
    let if_version = required_version(call, 5)?;
    let (key, value) = (call.key(1)?, call.buffer(2)?.to_vec());
    let write = NamespaceWrite::Set { key, value, ttl, metadata, if_version };
    request(call, write, done(call, 6, version)?)
}

/// (namespace, packed, bytes, ttl, metadata?, id)
fn set_many(call: &mut Call) -> Returned {
    let (ttl, metadata) = (ttl(call, 3)?, metadata(call, 4)?);
    let packed = packed(call, 1, 2)?.to_vec();
    if packed.is_empty() {
        replier(call, 5)?(Ok(Answer::Number(0.0)));
        return call.return_undefined();
    }
    let write = NamespaceWrite::SetMany { packed, ttl, metadata };
    request(call, write, done(call, 5, count)?)
}

/// (namespace, key, by, id)
fn increment(call: &mut Call) -> Returned {
    let write = NamespaceWrite::Increment { key: call.key(1)?, by: call.number(2)? };
    request(call, write, done(call, 3, incremented)?)
}

/// (namespace, key, ifVersion, id)
fn delete(call: &mut Call) -> Returned {
    let if_version = required_version(call, 2)?;
    let write = NamespaceWrite::Delete { key: call.key(1)?, if_version };
    request(call, write, done(call, 3, is_removed)?)
}

/// (namespace, keys, id)
fn delete_many(call: &mut Call) -> Returned {
    let write = NamespaceWrite::DeleteMany { keys: call.keys(1)? };
    request(call, write, done(call, 2, removed)?)
}

/// (namespace, prefix?, id)
fn clear(call: &mut Call) -> Returned {
    let prefix = call.optional_string(1)?.unwrap_or_default();
    request(call, NamespaceWrite::Clear { prefix }, done(call, 2, removed)?)
}

/// (transaction, id): ends it, too
fn commit(call: &mut Call) -> Returned {
    transaction::take(call)?.submit(done(call, 1, no_answer)?)?;
    call.return_undefined()
}

fn request_step(call: &Call, write: QueueWrite, done: Done) -> Returned {
    the_queue(call)?.submit(write, done)?;
    call.return_undefined()
}

/// What the worker holds of the task.
fn token(call: &Call) -> Returned<OwnedToken> {
    let (created, attempt) = (call.number(2)? as u64, call.number(3)? as u64);
    Ok(OwnedToken { id: task_id(call)?, created, attempt })
}

/// (queue, packed ids and items, bytes, delay, id)
fn push(call: &mut Call) -> Returned {
    let delay_ms = call.number(3)? as u64;
    let write = QueueWrite::Push { packed: packed(call, 1, 2)?.to_vec(), delay_ms };
    request_step(call, write, done(call, 4, no_answer)?)
}

/// (queue, looks, id) -> whether a reply will come: a task, or whether to claim again. With `looks`
/// none comes where nothing is ready.
fn claim(call: &mut Call) -> Returned {
    let looks = call.boolean(1)?;
    let is_requested = the_queue(call)?.submit_claim(looks, done(call, 2, the_claimed)?)?;
    call.return_boolean(is_requested)
}

/// (queue, id of the task, created, attempt, milliseconds, id)
fn renew(call: &mut Call) -> Returned {
    let write = QueueWrite::Renew { token: token(call)?, lease_ms: call.number(4)? as u64 };
    request_step(call, write, done(call, 5, no_answer)?)
}

/// (queue, id of the task, created, attempt, result?, id)
fn complete(call: &mut Call) -> Returned {
    let result = call.optional_buffer(4)?.map(<[u8]>::to_vec);
    let write = QueueWrite::Complete { token: token(call)?, result };
    request_step(call, write, done(call, 5, no_answer)?)
}

/// (queue, id of the task, created, attempt, error, retryIn, id)
fn fail(call: &mut Call) -> Returned {
    let error = call.string(call.argument(4))?;
    let retry_in_ms = call.number(5)? as u64;
    let write = QueueWrite::Fail { token: token(call)?, error, retry_in_ms };
    request_step(call, write, done(call, 6, no_answer)?)
}

/// (queue, id)
fn retry_dead(call: &mut Call) -> Returned {
    request_step(call, QueueWrite::RetryDead, done(call, 1, restored)?)
}

/// (queue, id)
fn clear_queue(call: &mut Call) -> Returned {
    request_step(call, QueueWrite::Clear, done(call, 1, removed)?)
}

/// Runs what takes long, and is rare, on a thread of its own.
fn run_aside(
    call: &Call,
    id: usize,
    work: impl FnOnce(&Store) -> Result<()> + Send + 'static,
) -> Returned {
    let (store, reply) = (Arc::clone(store(call)?), replier(call, id)?);
    std::thread::Builder::new()
        .name("commonhold-request".into())
        .spawn(move || reply(work(&store).map(|()| Answer::Undefined)))
        .map_err(|error| Error::io("could not start a thread", error))?;
    call.return_undefined()
}

/// (store, id)
fn flush(call: &mut Call) -> Returned {
    run_aside(call, 1, Store::flush)
}

/// (store, id)
fn close(call: &mut Call) -> Returned {
    run_aside(call, 1, |store| {
        store.close();
        Ok(())
    })
}

/// (store, path, compact, id)
fn backup(call: &mut Call) -> Returned {
    let path = PathBuf::from(call.string(call.argument(1))?);
    let compact = call.boolean(2)?;
    run_aside(call, 3, move |store| store.backup(&path, compact))
}
