//! The Node.js binding: conversion between JavaScript arguments and calls of the core, nothing
//! else. It decides nothing.
//!
//! The calls are raw Node-API callbacks: a method of a napi class costs 450-830 ns before it does
//! anything, a raw callback 20-40 ns (hazard 30).
#![allow(unsafe_code)]

mod arguments;
mod call;
mod context;
mod listener;
mod namespace;
mod output;
mod queue;
mod requests;
mod results;
mod scan;
mod signals;
mod store;
mod transaction;
mod watch;

use napi::JsValue;
use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;

use context::Context;

/// Adds the raw callbacks to the module's exports, for this thread's environment.
#[napi(module_exports)]
pub fn add_raw_callbacks(exports: Object<'_>, env: Env) -> napi::Result<()> {
    let exports = exports.value();
    let context = Context::create(env.raw())?;
    let all = [
        store::CALLBACKS,
        namespace::CALLBACKS,
        queue::CALLBACKS,
        listener::CALLBACKS,
        requests::CALLBACKS,
        scan::CALLBACKS,
        signals::CALLBACKS,
        transaction::CALLBACKS,
        watch::CALLBACKS,
    ];
    for (name, callback) in all.into_iter().flatten() {
        context.export(env.raw(), exports.value, name, *callback)?;
    }
    Ok(())
}
