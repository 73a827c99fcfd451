//! Callbacks of signals.

use std::ptr;
use std::sync::{Arc, Mutex};

use napi::sys;

use super::call::{Call, RawCallback, Returned, callbacks, check};
use super::listener::{channel, listener};
use crate::shared::lock;
use crate::{Interest, Store, Subscription};

pub(super) const CALLBACKS: &[(&str, RawCallback)] = callbacks![
    "takeReady" => take_ready,
    "subscribeKey" => subscribe_key,
    "subscribeQueue" => subscribe_queue,
    "subscriptionId" => subscription_id,
    "arm" => arm,
    "unsubscribe" => unsubscribe,
];

/// () -> ids of the subscriptions that have become ready
fn take_ready(call: &mut Call) -> Returned {
    let ids = listener(call)?.signals.take();
    let mut array = ptr::null_mut();
    // SAFETY: plain Node-API call.
    check(unsafe { sys::napi_create_array_with_length(call.env, ids.len(), &mut array) })?;
    for (index, id) in (0..).zip(ids) {
        let id = call.return_number(id as f64)?;
        // SAFETY: plain Node-API call.
        check(unsafe { sys::napi_set_element(call.env, array, index, id) })?;
    }
    Ok(array)
}

/// `None` after `unsubscribe`.
type Held = Mutex<Option<Subscription>>;

fn subscribe(call: &Call, interest: Interest) -> Returned {
    let store: &Arc<Store> = call.external(0)?;
    let subscription = store.subscribe(interest, channel(call)?)?;
    call.new_external(Held::new(Some(subscription)))
}

/// (store, namespace, key) -> subscription
fn subscribe_key(call: &mut Call) -> Returned {
    let namespace = call.string(call.argument(1))?;
    let key = call.key(2)?;
    subscribe(call, Interest::Key { namespace, key })
}

/// (store, queue) -> subscription
fn subscribe_queue(call: &mut Call) -> Returned {
    let name = call.string(call.argument(1))?;
    subscribe(call, Interest::Queue { name })
}

/// (subscription) -> the id that `takeReady` will give
fn subscription_id(call: &mut Call) -> Returned {
    let held: &Held = call.external(0)?;
    let id = lock(held).as_ref().map_or(0, Subscription::id);
    call.return_number(id as f64)
}

/// (subscription) -> undefined
fn arm(call: &mut Call) -> Returned {
    let held: &Held = call.external(0)?;
    if let Some(subscription) = &*lock(held) {
        subscription.arm();
    }
    call.return_undefined()
}

/// (subscription) -> undefined
fn unsubscribe(call: &mut Call) -> Returned {
    let held: &Held = call.external(0)?;
    *lock(held) = None;
    call.return_undefined()
}
