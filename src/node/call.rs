//! Raw calls: how a callback is entered, and how it throws.
//!
//! Every callback runs inside [`enter`], which catches panics (hazard 34) and throws errors
//! through a function that the face registered, so that JavaScript sees its own error classes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use napi::sys;

use super::context::Context;
use crate::error::Error;

/// The most arguments a callback takes.
const MAX_ARGUMENTS: usize = 10;

/// Why a callback ends without a result.
pub(super) enum Thrown {
    /// An error of the store.
    Store(Error),
    /// A wrong argument: kind of JavaScript error, code, message.
    Argument(&'static str, &'static str, String),
    /// Node-API refused a call; an exception may be pending already.
    Engine(sys::napi_status),
}

impl From<Error> for Thrown {
    fn from(error: Error) -> Thrown {
        Thrown::Store(error)
    }
}

/// The result of a callback.
pub(super) type Returned<T = sys::napi_value> = Result<T, Thrown>;
/// A callback as Node-API calls it.
pub(super) type RawCallback =
    unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;

/// One call: its arguments and the thread's context.
pub(super) struct Call<'c> {
    pub env: sys::napi_env,
    pub context: &'c mut Context,
    pub(super) arguments: [sys::napi_value; MAX_ARGUMENTS],
}

/// Turns a status of Node-API into a result.
pub(super) fn check(status: sys::napi_status) -> Returned<()> {
    if status == sys::Status::napi_ok { Ok(()) } else { Err(Thrown::Engine(status)) }
}

/// Runs the body of a callback.
///
/// # Safety
/// `env` and `info` come from Node-API, for a function that [`Context::export`] made.
pub(super) unsafe fn enter(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    body: fn(&mut Call) -> Returned,
) -> sys::napi_value {
    let mut arguments = [ptr::null_mut(); MAX_ARGUMENTS];
    let mut count = MAX_ARGUMENTS;
    let mut data = ptr::null_mut();
    // SAFETY: the array has room for `count` values; missing ones are filled with undefined.
    let status = unsafe {
        let first = arguments.as_mut_ptr();
        sys::napi_get_cb_info(env, info, &mut count, first, ptr::null_mut(), &mut data)
    };
    if status != sys::Status::napi_ok {
        return ptr::null_mut();
    }
    // SAFETY: `data` is the context given to napi_create_function. Calls of one environment come
    // one at a time, and no callback calls into JavaScript that could enter again while it holds
    // this reference, but to make an error, after the body has returned.
    let context = unsafe { &mut *data.cast::<Context>() };
    let make_error = context.make_error;
    let mut call = Call { env, context, arguments };
    match catch_unwind(AssertUnwindSafe(|| body(&mut call))) {
        Ok(Ok(value)) => value,
        Ok(Err(thrown)) => throw(env, make_error, thrown),
        Err(_) => throw(
            env,
            make_error,
            Thrown::Argument(
                "error",
                "ERR_IO",
                "a bug in commonhold: a native call panicked".into(),
            ),
        ),
    }
}

/// Throws, and returns what a callback returns then.
fn throw(env: sys::napi_env, make_error: sys::napi_ref, thrown: Thrown) -> sys::napi_value {
    let (kind, code, message) = match thrown {
        Thrown::Store(error) => ("error", error.code().as_str(), error.to_string()),
        Thrown::Argument(kind, code, message) => (kind, code, message),
        Thrown::Engine(status) => {
            ("error", "ERR_INVALID_OPTION", format!("Node-API refused a call (status {status})"))
        }
    };
    // SAFETY: plain Node-API calls with values of this environment. Where one fails, an exception
    // is pending or the thread is ending, and there is nothing better to report.
    unsafe {
        let mut pending = false;
        sys::napi_is_exception_pending(env, &mut pending);
        if pending {
            return ptr::null_mut();
        }
        let (mut function, mut global, mut error) =
            (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        sys::napi_get_reference_value(env, make_error, &mut function);
        sys::napi_get_undefined(env, &mut global);
        let mut arguments = [ptr::null_mut(); 3];
        for (value, text) in arguments.iter_mut().zip([kind, code, &message]) {
            sys::napi_create_string_utf8(env, text.as_ptr().cast(), text.len() as isize, value);
        }
        let called =
            sys::napi_call_function(env, global, function, 3, arguments.as_ptr(), &mut error);
        if called == sys::Status::napi_ok {
            sys::napi_throw(env, error);
        }
    }
    ptr::null_mut()
}

/// Names a callback and its body.
macro_rules! callbacks {
    ($($name:literal => $body:path),* $(,)?) => {
        &[$(($name, {
            unsafe extern "C" fn raw(
                env: napi::sys::napi_env,
                info: napi::sys::napi_callback_info,
            ) -> napi::sys::napi_value {
                // SAFETY: called by Node-API, and exported by Context::export only.
                unsafe { $crate::node::call::enter(env, info, $body) }
            }
            raw as $crate::node::call::RawCallback
        })),*]
    };
}
pub(super) use callbacks;
