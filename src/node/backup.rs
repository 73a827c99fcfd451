//! `backup`, the one call that runs off the JavaScript thread.

use std::path::PathBuf;
use std::sync::Arc;

use napi::bindgen_prelude::{AsyncTask, Env, Result, Task, Unknown};
use napi::{Error, JsValue, Status};
use napi_derive::napi;

use crate::Store;

/// A copy in the making.
pub struct Backup {
    store: Arc<Store>,
    path: PathBuf,
    compact: bool,
}

impl Task for Backup {
    type Output = std::result::Result<(), crate::Error>;
    type JsValue = Vec<String>;

    fn compute(&mut self) -> Result<Self::Output> {
        Ok(self.store.backup(&self.path, self.compact))
    }

    /// Code and message of the error, for the face to make one of its own class; empty if all
    /// went well.
    fn resolve(&mut self, _env: Env, output: Self::Output) -> Result<Vec<String>> {
        Ok(match output {
            Ok(()) => Vec::new(),
            Err(error) => vec![error.code().as_str().to_owned(), error.to_string()],
        })
    }
}

/// Copies a store into a new or empty directory.
#[napi]
pub fn backup(store: Unknown<'_>, path: String, compact: bool) -> Result<AsyncTask<Backup>> {
    let value = store.value();
    let mut data = std::ptr::null_mut();
    // SAFETY: the face passes the external that `open` returned.
    let status = unsafe { napi::sys::napi_get_value_external(value.env, value.value, &mut data) };
    if status != napi::sys::Status::napi_ok {
        return Err(Error::new(Status::InvalidArg, "backup takes a store"));
    }
    // SAFETY: as above; the external is an argument, so it is alive.
    let store = unsafe { Arc::clone(&*data.cast::<Arc<Store>>()) };
    Ok(AsyncTask::new(Backup { store, path: PathBuf::from(path), compact }))
}
