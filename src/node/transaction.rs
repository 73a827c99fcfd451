//! Callbacks of a transaction and of its views of namespaces. Each view's callback takes the
//! arguments of the namespace's callback of the same name.

use std::sync::{Arc, Mutex};

use super::arguments::packed;
use super::call::{Call, RawCallback, Returned, Thrown, callbacks};
use super::namespace::{end_or_needed, metadata, required_version, ttl, write_entry};
use super::output::Writer;
use super::scan::{State, range, return_collected};
use crate::error::Error;
use crate::packed::unpack;
use crate::shared::lock;
use crate::{Store, Transaction};

pub(super) const CALLBACKS: &[(&str, RawCallback)] = callbacks![
    "beginTransaction" => begin,
    "beginSharedTransaction" => begin_shared,
    "isOvertaken" => is_overtaken,
    "commitTransaction" => commit,
    "endTransaction" => end,
    "transactionNamespace" => namespace,
    "transactionGet" => get,
    "transactionGetEntry" => get_entry,
    "transactionHas" => has,
    "transactionReadMany" => read_many,
    "transactionScan" => scan,
    "transactionCount" => count,
    "transactionSet" => set,
    "transactionSetMany" => set_many,
    "transactionIncrement" => increment,
    "transactionDelete" => delete,
    "transactionDeleteMany" => delete_many,
    "transactionClear" => clear,
];

/// A transaction until it ends.
type Running = Arc<Mutex<Option<Transaction>>>;

/// A transaction's view of one namespace.
struct View {
    transaction: Running,
    namespace: usize,
}

impl View {
    fn with<R>(&self, body: impl FnOnce(&mut Transaction, usize) -> Returned<R>) -> Returned<R> {
        match &mut *lock(&self.transaction) {
            Some(transaction) => body(transaction, self.namespace),
            None => Err(Error::TransactionEnded.into()),
        }
    }
}

fn transaction(call: &Call) -> Returned<&'static Running> {
    call.external(0)
}

fn view(call: &Call) -> Returned<&'static View> {
    call.external(0)
}

/// (store) -> transaction
fn begin(call: &mut Call) -> Returned {
    let store: &Arc<Store> = call.external(0)?;
    let running: Running = Arc::new(Mutex::new(Some(store.begin_transaction()?)));
    call.new_external(running)
}

/// (store) -> transaction, beside which others may run
fn begin_shared(call: &mut Call) -> Returned {
    let store: &Arc<Store> = call.external(0)?;
    let running: Running = Arc::new(Mutex::new(Some(store.begin_shared_transaction()?)));
    call.new_external(running)
}

/// (transaction) -> whether it has to run again
fn is_overtaken(call: &mut Call) -> Returned {
    let transaction = lock(transaction(call)?);
    call.return_boolean(transaction.as_ref().is_some_and(Transaction::is_overtaken))
}

/// (transaction): ends it, too
fn commit(call: &mut Call) -> Returned {
    take(call)?.commit()?;
    call.return_undefined()
}

/// The transaction, which ends for JavaScript.
pub(super) fn take(call: &Call) -> Returned<Transaction> {
    let taken = lock(transaction(call)?).take();
    Ok(taken.ok_or(Error::TransactionEnded)?)
}

/// (transaction): leaves nothing behind
fn end(call: &mut Call) -> Returned {
    drop(lock(transaction(call)?).take());
    call.return_undefined()
}

/// (transaction, name) -> view
fn namespace(call: &mut Call) -> Returned {
    let transaction = Arc::clone(transaction(call)?);
    let name = call.string(call.argument(1))?;
    let namespace = match &mut *lock(&transaction) {
        Some(transaction) => transaction.namespace(&name)?,
        None => return Err(Error::TransactionEnded.into()),
    };
    call.new_external(View { transaction, namespace })
}

fn get(call: &mut Call) -> Returned {
    let view = view(call)?;
    let end = call.with_key(1, |call, key| {
        let mut writer = Writer::new(&mut call.context.output);
        view.with(|transaction, namespace| {
            let read = transaction
                .get_with(namespace, key, |value| writer.append(&[value]).map(|()| writer.end()))?;
            Ok(end_or_needed(read))
        })
    })?;
    call.return_number(end)
}

fn get_entry(call: &mut Call) -> Returned {
    let view = view(call)?;
    let end = call.with_key(1, |call, key| {
        let mut writer = Writer::new(&mut call.context.output);
        view.with(|transaction, namespace| {
            let read = transaction.get_entry_with(namespace, key, |head, value| {
                write_entry(&mut writer, head, value)
            })?;
            Ok(end_or_needed(read))
        })
    })?;
    call.return_number(end)
}

fn has(call: &mut Call) -> Returned {
    let view = view(call)?;
    let has = call.with_key(1, |_, key| {
        view.with(|transaction, namespace| Ok(transaction.has(namespace, key)?))
    })?;
    call.return_boolean(has)
}

fn read_many(call: &mut Call) -> Returned {
    let keys = call.keys(1)?;
    let state = view(call)?.with(|transaction, namespace| {
        let mut state = State::default();
        for key in &keys {
            transaction.get_with(namespace, key, |value| state.push(key, &[value]))?;
        }
        Ok(state)
    })?;
    return_collected(call, state)
}

/// (view, withValues, reverse, limit or -1, prefix?, start?, end?) -> scan
fn scan(call: &mut Call) -> Returned {
    let (with_values, range) = (call.boolean(1)?, range(call, 2)?);
    let state = view(call)?.with(|transaction, namespace| {
        let mut state = State::default();
        transaction.scan(namespace, &range, |key, value| {
            if with_values {
                state.push(key, &[value.bytes()?]);
            } else {
                state.push(key, &[]);
            }
            Ok(())
        })?;
        Ok(state)
    })?;
    return_collected(call, state)
}

fn count(call: &mut Call) -> Returned {
    let count = view(call)?.with(|transaction, namespace| Ok(transaction.count(namespace)?))?;
    call.return_number(count as f64)
}

/// As of a namespace, but that it returns nothing
fn set(call: &mut Call) -> Returned {
    let view = view(call)?;
    let (ttl, metadata) = (ttl(call, 3)?, metadata(call, 4)?);
    let if_version = required_version(call, 5)?;
    call.with_key(1, |call, key| {
        let value = call.buffer(2)?;
        view.with(|transaction, namespace| {
            Ok(transaction.set(namespace, key, value, ttl, metadata.as_ref(), if_version)?)
        })
    })?;
    call.return_undefined()
}

fn set_many(call: &mut Call) -> Returned {
    let (ttl, metadata) = (ttl(call, 3)?, metadata(call, 4)?);
    let entries = unpack(packed(call, 1, 2)?)?;
    view(call)?.with(|transaction, namespace| {
        Ok(transaction.set_many(namespace, &entries, ttl, metadata.as_ref())?)
    })?;
    call.return_number(entries.len() as f64)
}

fn increment(call: &mut Call) -> Returned {
    let view = view(call)?;
    let by = call.number(2)?;
    let sum = call.with_key(1, |_, key| {
        view.with(|transaction, namespace| Ok(transaction.increment(namespace, key, by)?))
    })?;
    call.return_number(sum)
}

fn delete(call: &mut Call) -> Returned {
    let view = view(call)?;
    let if_version = required_version(call, 2)?;
    let deleted = call.with_key(1, |_, key| {
        view.with(|transaction, namespace| Ok(transaction.delete(namespace, key, if_version)?))
    })?;
    call.return_boolean(deleted)
}

fn delete_many(call: &mut Call) -> Returned {
    let keys = call.keys(1)?;
    let removed = view(call)?.with(|transaction, namespace| {
        let keys = keys.iter().map(String::as_str);
        Ok::<_, Thrown>(transaction.delete_many(namespace, keys)?)
    })?;
    call.return_number(removed as f64)
}

fn clear(call: &mut Call) -> Returned {
    let prefix = call.optional_string(1)?.unwrap_or_default();
    let removed =
        view(call)?.with(|transaction, namespace| Ok(transaction.clear(namespace, &prefix)?))?;
    call.return_number(removed as f64)
}
