//! What one JavaScript thread keeps: the output buffer, the maker of errors, scratch memory.

use std::ffi::{CString, c_void};
use std::ptr;

use napi::sys;

use super::call::{Call, RawCallback, Returned, check};
use super::listener::Listener;
use crate::limits::MAX_KEY_BYTES;

/// Bytes of the scratch for keys: the longest key, and room to notice a longer one.
pub(super) const KEY_SCRATCH_BYTES: usize = MAX_KEY_BYTES + 8;

/// What the callbacks of one JavaScript thread share.
pub(super) struct Context {
    /// The output buffer; see output.rs.
    pub output: Output,
    /// (kind, code, message) -> error
    pub make_error: sys::napi_ref,
    /// Where keys are read.
    pub key: Vec<u8>,
    /// What native threads leave things in, once somebody listens.
    pub listener: Option<Listener>,
}

/// A JavaScript buffer that native code writes into.
pub(super) struct Output {
    pub data: *mut u8,
    pub bytes: usize,
}

impl Context {
    /// Creates the context of a thread; it ends with the thread's environment.
    pub fn create(env: sys::napi_env) -> napi::Result<&'static mut Context> {
        let output = Output { data: ptr::null_mut(), bytes: 0 };
        let (key, listener) = (vec![0; KEY_SCRATCH_BYTES], None);
        let context = Context { output, make_error: ptr::null_mut(), key, listener };
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

impl Call<'_> {
    /// Keeps the function that makes errors: (kind, code, message) -> error.
    pub fn keep_error_maker(&mut self, index: usize) -> Returned<()> {
        let function = self.argument(index);
        // SAFETY: a strong reference, kept as long as the environment: an error that cannot be made
        // would be lost.
        check(unsafe {
            sys::napi_create_reference(self.env, function, 1, &mut self.context.make_error)
        })
    }

    /// Writes into this buffer from now on.
    pub fn use_output(&mut self, index: usize) -> Returned<()> {
        let buffer = self.arguments.get(index).copied().unwrap_or(ptr::null_mut());
        let (mut data, mut bytes) = (ptr::null_mut(), 0);
        // SAFETY: plain Node-API call. The face holds the buffer in a variable of the module that
        // makes all calls, and never transfers it: while a call can come, its memory stays where
        // it is. A strong reference here would outlive a module that is loaded anew.
        check(unsafe { sys::napi_get_buffer_info(self.env, buffer, &mut data, &mut bytes) })?;
        self.context.output = Output { data: data.cast(), bytes };
        Ok(())
    }
}
