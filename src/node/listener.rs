//! The way from native threads to a JavaScript thread: one threadsafe function, which says that
//! something was left in a channel.

use std::ffi::c_void;
use std::ptr;
use std::sync::{Arc, Mutex};

use napi::sys;

use super::call::{Call, RawCallback, Returned, Thrown, callbacks, check};
use super::requests::Reply;
use crate::Channel;
use crate::shared::lock;

pub(super) const CALLBACKS: &[(&str, RawCallback)] = callbacks![
    "listen" => listen,
    "holdProcess" => hold_process,
];

/// What a JavaScript thread listens with.
pub(super) struct Listener {
    /// Ids of subscriptions that have become ready.
    pub signals: Arc<Channel>,
    /// What came of requests.
    pub replies: Arc<Channel<Reply>>,
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
        let mut guard = lock(&self.function);
        let Some(ThreadsafeFunction(function)) = *guard else { return };
        // SAFETY: see above.
        let status = unsafe {
            sys::napi_call_threadsafe_function(
                function,
                ptr::null_mut(),
                sys::ThreadsafeFunctionCallMode::nonblocking,
            )
        };
        if status == sys::Status::napi_closing {
            // The thread is ending: nobody is left to be told, and Node-API forbids further calls.
            *guard = None;
        }
    }
}

unsafe extern "C" fn forget_function(_: sys::napi_env, data: *mut c_void, _: *mut c_void) {
    // SAFETY: `data` is what `listen` made of the Arc; a finalizer runs once.
    let notifier = unsafe { Arc::from_raw(data.cast::<Notifier>()) };
    *lock(&notifier.function) = None;
}

/// (onReady) -> undefined. From now on `onReady` is called, without arguments, when there are
/// ready subscriptions or replies to take.
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
    let (signals, replies) = (channel_to(&notifier), channel_to(&notifier));
    call.context.listener = Some(Listener { signals, replies, notifier });
    call.return_undefined()
}

fn channel_to<T>(notifier: &Arc<Notifier>) -> Arc<Channel<T>> {
    let notifier = Arc::clone(notifier);
    Channel::new(move || notifier.notify())
}

/// What the calling thread listens with.
pub(super) fn listener<'c>(call: &'c Call) -> Returned<&'c Listener> {
    call.context.listener.as_ref().ok_or_else(|| {
        Thrown::Argument("error", "ERR_IO", "a bug in commonhold: nobody listens".into())
    })
}

/// Where the calling thread's signals are left.
pub(super) fn channel(call: &Call) -> Returned<Arc<Channel>> {
    Ok(Arc::clone(&listener(call)?.signals))
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
