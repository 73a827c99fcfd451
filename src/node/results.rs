//! Results out.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use napi::sys;

use super::call::{Call, Returned, check};

impl Call<'_> {
    /// Wraps a value for JavaScript to hold.
    pub fn new_external<T>(&self, value: T) -> Returned {
        unsafe extern "C" fn free<T>(_: sys::napi_env, data: *mut c_void, _: *mut c_void) {
            // A panic must not unwind into Node.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: made by Box::into_raw below; a finalizer runs once.
                drop(unsafe { Box::from_raw(data.cast::<T>()) });
            }));
        }
        let data = Box::into_raw(Box::new(value));
        let mut result = ptr::null_mut();
        // SAFETY: `data` stays valid until `free`.
        let status = unsafe {
            let hint = ptr::null_mut();
            sys::napi_create_external(self.env, data.cast(), Some(free::<T>), hint, &mut result)
        };
        check(status).inspect_err(|_| {
            // SAFETY: Node-API did not take it, so it is still ours.
            drop(unsafe { Box::from_raw(data) });
        })?;
        Ok(result)
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
