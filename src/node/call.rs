//! Raw calls: arguments in, results and errors out.
//!
//! Every callback runs inside [`enter`], which catches panics (hazard 34) and throws errors
//! through a function that the face registered, so that JavaScript sees its own error classes.

use std::ffi::{CString, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use napi::sys;

use crate::error::Error;
use crate::limits::MAX_KEY_BYTES;

/// The most arguments a callback takes.
const MAX_ARGUMENTS: usize = 10;
/// Bytes of the scratch for keys: one more than the longest key, and LMDB's terminating zero.
const KEY_SCRATCH_BYTES: usize = MAX_KEY_BYTES + 8;

/// What the callbacks of one JavaScript thread share.
pub(super) struct Context {
    /// The output buffer; see output.rs.
    pub output: Output,
    make_error: sys::napi_ref,
    key: Vec<u8>,
}

/// A JavaScript buffer that native code writes into.
pub(super) struct Output {
    pub data: *mut u8,
    pub bytes: usize,
    reference: sys::napi_ref,
}

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
    arguments: [sys::napi_value; MAX_ARGUMENTS],
}

/// Turns a status of Node-API into a result.
pub(super) fn check(status: sys::napi_status) -> Returned<()> {
    if status == sys::Status::napi_ok { Ok(()) } else { Err(Thrown::Engine(status)) }
}

impl Context {
    /// Creates the context of a thread; it ends with the thread's environment.
    pub fn create(env: sys::napi_env) -> napi::Result<&'static mut Context> {
        let output = Output { data: ptr::null_mut(), bytes: 0, reference: ptr::null_mut() };
        let context =
            Context { output, make_error: ptr::null_mut(), key: vec![0; KEY_SCRATCH_BYTES] };
        let context = Box::into_raw(Box::new(context));
        unsafe extern "C" fn free(context: *mut c_void) {
            // SAFETY: made by Box::into_raw above; Node runs a cleanup hook once, after the last
            // call into this environment.
            drop(unsafe { Box::from_raw(context.cast::<Context>()) });
        }
        // SAFETY: `env` is the environment being initialized, `context` lives until the hook.
        let status = unsafe { sys::napi_add_env_cleanup_hook(env, Some(free), context.cast()) };
        if status != sys::Status::napi_ok {
            return Err(napi::Error::from_reason("could not register a cleanup hook"));
        }
        // SAFETY: just allocated, and freed only when no more calls come.
        Ok(unsafe { &mut *context })
    }

    /// Exports a raw callback under `name`.
    pub fn export(
        &mut self,
        env: sys::napi_env,
        exports: sys::napi_value,
        name: &str,
        callback: RawCallback,
    ) -> napi::Result<()> {
        let c_name = CString::new(name)?;
        let mut function = ptr::null_mut();
        // SAFETY: the name outlives the calls, the context outlives the function.
        let status = unsafe {
            sys::napi_create_function(
                env,
                c_name.as_ptr(),
                name.len() as isize,
                Some(callback),
                ptr::from_mut(self).cast(),
                &mut function,
            )
        };
        // SAFETY: `function` was created by the call above if it succeeded.
        let set =
            || unsafe { sys::napi_set_named_property(env, exports, c_name.as_ptr(), function) };
        if status != sys::Status::napi_ok || set() != sys::Status::napi_ok {
            return Err(napi::Error::from_reason(format!("could not export {name}")));
        }
        Ok(())
    }
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

impl Call<'_> {
    /// An argument; undefined if it was not given.
    pub fn argument(&self, index: usize) -> sys::napi_value {
        self.arguments.get(index).copied().unwrap_or(ptr::null_mut())
    }

    /// What an external points to.
    pub fn external<T>(&self, index: usize) -> Returned<&'static T> {
        let mut data = ptr::null_mut();
        // SAFETY: externals are made by `new_external` only, with this type at this place: the
        // face keeps them to itself. The pointee lives until the external is collected, which is
        // not before the call that was given it returns.
        unsafe {
            check(sys::napi_get_value_external(self.env, self.argument(index), &mut data))?;
            Ok(&*data.cast::<T>())
        }
    }

    /// Wraps a value for JavaScript to hold.
    pub fn new_external<T>(&self, value: T) -> Returned {
        unsafe extern "C" fn free<T>(_: sys::napi_env, data: *mut c_void, _: *mut c_void) {
            // A panic must not unwind into Node.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: made by Box::into_raw below; a finalizer runs once.
                drop(unsafe { Box::from_raw(data.cast::<T>()) });
            }));
        }
        let data = Box::into_raw(Box::new(value)).cast();
        let mut result = ptr::null_mut();
        // SAFETY: `data` stays valid until `free`.
        let status = unsafe {
            let hint = ptr::null_mut();
            sys::napi_create_external(self.env, data, Some(free::<T>), hint, &mut result)
        };
        check(status)?;
        Ok(result)
    }

    /// A number argument.
    pub fn number(&self, index: usize) -> Returned<f64> {
        let mut number = 0.0;
        // SAFETY: plain Node-API call.
        check(unsafe { sys::napi_get_value_double(self.env, self.argument(index), &mut number) })?;
        Ok(number)
    }

    /// A boolean argument.
    pub fn boolean(&self, index: usize) -> Returned<bool> {
        let mut boolean = false;
        // SAFETY: plain Node-API call.
        check(unsafe { sys::napi_get_value_bool(self.env, self.argument(index), &mut boolean) })?;
        Ok(boolean)
    }

    /// A string argument that the face has checked; `None` for undefined.
    pub fn optional_string(&self, index: usize) -> Returned<Option<String>> {
        let mut kind = 0;
        // SAFETY: plain Node-API call.
        check(unsafe { sys::napi_typeof(self.env, self.argument(index), &mut kind) })?;
        if kind == sys::ValueType::napi_undefined {
            return Ok(None);
        }
        self.string(self.argument(index)).map(Some)
    }

    /// The text of a string value. Ill-formed UTF-16 is refused by the face.
    pub fn string(&self, value: sys::napi_value) -> Returned<String> {
        let mut bytes = 0;
        // SAFETY: with no buffer the call tells the length.
        check(unsafe {
            sys::napi_get_value_string_utf8(self.env, value, ptr::null_mut(), 0, &mut bytes)
        })?;
        let mut text = vec![0_u8; bytes + 1];
        // SAFETY: the buffer has the length that is given.
        check(unsafe {
            let buffer = text.as_mut_ptr().cast();
            sys::napi_get_value_string_utf8(self.env, value, buffer, text.len(), &mut bytes)
        })?;
        text.truncate(bytes);
        String::from_utf8(text).map_err(|_| invalid_key("a key is a well-formed string"))
    }

    /// The bytes of a buffer argument, valid until the callback returns.
    pub fn buffer(&self, index: usize) -> Returned<&[u8]> {
        let (mut data, mut bytes) = (ptr::null_mut(), 0);
        // SAFETY: Node keeps the buffer alive during the call, and JavaScript does not run.
        unsafe {
            check(sys::napi_get_buffer_info(
                self.env,
                self.argument(index),
                &mut data,
                &mut bytes,
            ))?;
            if bytes == 0 {
                return Ok(&[]);
            }
            Ok(std::slice::from_raw_parts(data.cast(), bytes))
        }
    }

    /// Reads a key argument into the thread's scratch and lends it to `body`.
    pub fn with_key<R>(
        &mut self,
        index: usize,
        body: impl FnOnce(&mut Call, &str) -> Returned<R>,
    ) -> Returned<R> {
        let mut scratch = std::mem::take(&mut self.context.key);
        let result = self
            .read_key(self.argument(index), &mut scratch)
            .and_then(|bytes| {
                let key = scratch.get(..bytes).unwrap_or_default();
                // V8 writes well-formed UTF-8; the check costs less than being wrong about it.
                std::str::from_utf8(key).map_err(|_| invalid_key("a key is a well-formed string"))
            })
            .and_then(|key| body(self, key));
        self.context.key = scratch;
        result
    }

    fn read_key(&self, value: sys::napi_value, scratch: &mut [u8]) -> Returned<usize> {
        let mut bytes = 0;
        // SAFETY: the buffer has the length that is given.
        let status = unsafe {
            let buffer: *mut c_char = scratch.as_mut_ptr().cast();
            sys::napi_get_value_string_utf8(self.env, value, buffer, scratch.len(), &mut bytes)
        };
        if status == sys::Status::napi_string_expected {
            return Err(Thrown::Argument("type", "ERR_INVALID_KEY", "a key is a string".into()));
        }
        check(status)?;
        if bytes > MAX_KEY_BYTES {
            // The scratch may have cut it: ask for the whole length.
            let mut whole = 0;
            // SAFETY: with no buffer the call tells the length.
            check(unsafe {
                sys::napi_get_value_string_utf8(self.env, value, ptr::null_mut(), 0, &mut whole)
            })?;
            return Err(Error::KeyTooLong { bytes: whole, limit: MAX_KEY_BYTES }.into());
        }
        // V8 replaces a lone surrogate with U+FFFD, which would make two keys one (hazard 27).
        let key = scratch.get(..bytes).unwrap_or_default();
        if key.windows(3).any(|bytes| bytes == "\u{FFFD}".as_bytes()) {
            self.refuse_lone_surrogates(value, bytes)?;
        }
        Ok(bytes)
    }

    /// Fails if a string of at most `units` UTF-16 code units has a lone surrogate.
    fn refuse_lone_surrogates(&self, value: sys::napi_value, units: usize) -> Returned<()> {
        let mut text = vec![0_u16; units + 1];
        let mut length = 0;
        // SAFETY: the buffer has the length that is given, in code units.
        check(unsafe {
            let buffer = text.as_mut_ptr();
            sys::napi_get_value_string_utf16(self.env, value, buffer, text.len(), &mut length)
        })?;
        text.truncate(length);
        if char::decode_utf16(text).any(|character| character.is_err()) {
            return Err(invalid_key(
                "a key is a well-formed string: this one has a lone surrogate",
            ));
        }
        Ok(())
    }

    /// The keys of an array argument, checked like single ones.
    pub fn keys(&self, index: usize) -> Returned<Vec<String>> {
        let array = self.argument(index);
        let mut length = 0;
        // SAFETY: plain Node-API call.
        check(unsafe { sys::napi_get_array_length(self.env, array, &mut length) })?;
        let mut scratch = vec![0; KEY_SCRATCH_BYTES];
        (0..length)
            .map(|position| {
                let mut value = ptr::null_mut();
                // SAFETY: plain Node-API call.
                check(unsafe { sys::napi_get_element(self.env, array, position, &mut value) })?;
                let bytes = self.read_key(value, &mut scratch)?;
                let key = scratch.get(..bytes).unwrap_or_default().to_vec();
                String::from_utf8(key).map_err(|_| invalid_key("a key is a well-formed string"))
            })
            .collect()
    }

    /// Keeps the function that makes errors: (kind, code, message) -> error.
    pub fn keep_error_maker(&mut self, index: usize) -> Returned<()> {
        let function = self.argument(index);
        // SAFETY: a strong reference, kept as long as the environment.
        check(unsafe {
            sys::napi_create_reference(self.env, function, 1, &mut self.context.make_error)
        })
    }

    /// Keeps a buffer to write into, instead of the one before.
    pub fn keep_output(&mut self, index: usize) -> Returned<()> {
        let output = &mut self.context.output;
        let buffer = self.arguments.get(index).copied().unwrap_or(ptr::null_mut());
        let (mut data, mut bytes, mut reference) = (ptr::null_mut(), 0, ptr::null_mut());
        // SAFETY: the reference keeps the buffer alive, and the face never transfers it, so its
        // memory stays where it is.
        unsafe {
            check(sys::napi_get_buffer_info(self.env, buffer, &mut data, &mut bytes))?;
            check(sys::napi_create_reference(self.env, buffer, 1, &mut reference))?;
            if !output.reference.is_null() {
                check(sys::napi_delete_reference(self.env, output.reference))?;
            }
        }
        *output = Output { data: data.cast(), bytes, reference };
        Ok(())
    }

    /// A number for JavaScript.
    pub fn return_number(&self, number: f64) -> Returned {
        let mut value = ptr::null_mut();
        // SAFETY: plain Node-API call.
        check(unsafe { sys::napi_create_double(self.env, number, &mut value) })?;
        Ok(value)
    }

    /// A boolean for JavaScript.
    pub fn return_boolean(&self, boolean: bool) -> Returned {
        let mut value = ptr::null_mut();
        // SAFETY: plain Node-API call.
        check(unsafe { sys::napi_get_boolean(self.env, boolean, &mut value) })?;
        Ok(value)
    }

    /// undefined.
    pub fn return_undefined(&self) -> Returned {
        let mut value = ptr::null_mut();
        // SAFETY: plain Node-API call.
        check(unsafe { sys::napi_get_undefined(self.env, &mut value) })?;
        Ok(value)
    }

    /// A string for JavaScript; ASCII takes the shorter way.
    pub fn return_string(&self, text: &str) -> Returned {
        let mut value = ptr::null_mut();
        let (data, bytes) = (text.as_ptr().cast(), text.len() as isize);
        // SAFETY: the text has the length that is given; ASCII is Latin-1.
        check(unsafe {
            if text.is_ascii() {
                sys::napi_create_string_latin1(self.env, data, bytes, &mut value)
            } else {
                sys::napi_create_string_utf8(self.env, data, bytes, &mut value)
            }
        })?;
        Ok(value)
    }
}

fn invalid_key(message: &str) -> Thrown {
    Thrown::Argument("error", "ERR_INVALID_KEY", message.into())
}
