//! Callbacks of signals, and the way from the waiting thread to JavaScript.

use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Mutex};

use napi::sys;

use super::call::{Call, RawCallback, Returned, Thrown, callbacks, check};
use crate::shared::lock;
use crate::{Channel, Interest, Store, Subscription};

pub(super) const CALLBACKS: &[(&str, RawCallback)] = callbacks![
    "listen" => listen,
    "holdProcess" => hold_process,
    "takeReady" => take_ready,
    "subscribeKey" => subscribe_key,
    "subscribeQueue" => subscribe_queue,
    "subscriptionId" => subscription_id,
    "arm" => arm,
    "unsubscribe" => unsubscribe,
];

/// What a JavaScript thread listens with.
pub(super) struct Listener {
    pub channel: Arc<Channel>,
    notifier: Arc<Notifier>,
}

/// Calls a function of a JavaScript thread from any thread, as long as the thread is there.
struct Notifier {
    function: Mutex<Option<ThreadsafeFunction>>,
}

#[derive(Clone, Copy)]
struct ThreadsafeFunction(sys::napi_threadsafe_function);

// SAFETY: Node-API allows calls of a threadsafe function from any thread until it is finalized;
// `Notifier` makes none after that.
unsafe impl Send for ThreadsafeFunction {}

impl Notifier {
    fn notify(&self) {
        // Locked during the call, so that the function is not finalized meanwhile.
        if let Some(ThreadsafeFunction(function)) = *lock(&self.function) {
            // SAFETY: see above. If the thread is ending, nobody is left to be told.
            unsafe {
                sys::napi_call_threadsafe_function(
                    function,
                    ptr::null_mut(),
                    sys::ThreadsafeFunctionCallMode::nonblocking,
                )
            };
        }
    }
}

unsafe extern "C" fn forget_function(_: sys::napi_env, data: *mut c_void, _: *mut c_void) {
    // SAFETY: `data` is what `listen` made of the Arc; a finalizer runs once.
    let notifier = unsafe { Arc::from_raw(data.cast::<Notifier>()) };
    *lock(&notifier.function) = None;
}

/// (onReady) -> undefined. From now on `onReady` is called, without arguments, when there are
/// ready subscriptions to take.
fn listen(call: &mut Call) -> Returned {
    let notifier = Arc::new(Notifier { function: Mutex::new(None) });
    let name = call.return_string("commonhold")?;
    let mut function = ptr::null_mut();
    let data = Arc::into_raw(Arc::clone(&notifier));
    // SAFETY: `data` stays valid until `forget_function`. Without a callback of our own, Node-API
    // calls the JavaScript function itself.
    let status = unsafe {
        sys::napi_create_threadsafe_function(
            call.env,
            call.argument(0),
            ptr::null_mut(),
            name,
            0,
            1,
            data.cast_mut().cast(),
            Some(forget_function),
            ptr::null_mut(),
            None,
            &mut function,
        )
    };
    check(status).inspect_err(|_| {
        // SAFETY: Node-API did not take it, so it is still ours.
        drop(unsafe { Arc::from_raw(data) });
    })?;
    // SAFETY: just created, on this thread. Nobody waits yet: it keeps no process alive.
    check(unsafe { sys::napi_unref_threadsafe_function(call.env, function) })?;
    *lock(&notifier.function) = Some(ThreadsafeFunction(function));
    let its_notifier = Arc::clone(&notifier);
    let channel = Channel::new(move || its_notifier.notify());
    call.context.listener = Some(Listener { channel, notifier });
    call.return_undefined()
}

fn listener<'c>(call: &'c Call) -> Returned<&'c Listener> {
    call.context.listener.as_ref().ok_or_else(|| {
        Thrown::Argument("error", "ERR_IO", "a bug in commonhold: nobody listens".into())
    })
}

/// The channel of the calling thread.
pub(super) fn channel(call: &Call) -> Returned<Arc<Channel>> {
    Ok(Arc::clone(&listener(call)?.channel))
}

/// (hold) -> undefined. Whether somebody waits: then the process stays alive.
fn hold_process(call: &mut Call) -> Returned {
    let hold = call.boolean(0)?;
    let function = *lock(&listener(call)?.notifier.function);
    if let Some(ThreadsafeFunction(function)) = function {
        // SAFETY: on the thread that made the function, which has not been finalized.
        check(unsafe {
            if hold {
                sys::napi_ref_threadsafe_function(call.env, function)
            } else {
                sys::napi_unref_threadsafe_function(call.env, function)
            }
        })?;
    }
    call.return_undefined()
}

/// () -> ids of the subscriptions that have become ready
fn take_ready(call: &mut Call) -> Returned {
    let ids = listener(call)?.channel.take();
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
