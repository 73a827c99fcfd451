//! Arguments in.

use std::ffi::c_char;
use std::ptr;

use napi::sys;

use super::call::{Call, Returned, Thrown, check};
use super::context::KEY_SCRATCH_BYTES;
use crate::error::Error;
use crate::limits::MAX_KEY_BYTES;

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

    /// Whether an argument is undefined.
    pub fn is_undefined(&self, index: usize) -> Returned<bool> {
        let mut kind = 0;
        // SAFETY: plain Node-API call.
        check(unsafe { sys::napi_typeof(self.env, self.argument(index), &mut kind) })?;
        Ok(kind == sys::ValueType::napi_undefined)
    }

    /// A string argument that the face has checked; `None` for undefined.
    pub fn optional_string(&self, index: usize) -> Returned<Option<String>> {
        if self.is_undefined(index)? {
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

    /// The bytes of a buffer argument, as `buffer`; `None` for undefined.
    pub fn optional_buffer(&self, index: usize) -> Returned<Option<&[u8]>> {
        if self.is_undefined(index)? { Ok(None) } else { self.buffer(index).map(Some) }
    }

    /// A key, to keep.
    pub fn key(&mut self, index: usize) -> Returned<String> {
        self.with_key(index, |_, key| Ok(key.to_owned()))
    }

    /// As `key`; `None` for undefined.
    pub fn optional_key(&mut self, index: usize) -> Returned<Option<String>> {
        if self.is_undefined(index)? { Ok(None) } else { self.key(index).map(Some) }
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
            return Err(Thrown::Argument("type", "ERR_INVALID_KEY", "a key is a string: String(key) makes one of a number; getMany and deleteMany take several".into()));
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
}

/// The first so many bytes (a number argument) of a buffer argument.
pub(super) fn packed<'c>(call: &'c Call, buffer: usize, bytes: usize) -> Returned<&'c [u8]> {
    let bytes = call.number(bytes)? as usize;
    Ok(call.buffer(buffer)?.get(..bytes).unwrap_or_default())
}

fn invalid_key(message: &str) -> Thrown {
    Thrown::Argument("error", "ERR_INVALID_KEY", message.into())
}
