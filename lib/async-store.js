'use strict'

// The face of a store with promises.

const { startIteration } = require('./async-iteration')
const { AsyncNamespace } = require('./async-namespace')
const { AsyncQueue } = require('./async-queue')
const { runAsyncTransaction } = require('./async-transaction')
const native = require('./native')
const { refuseOptions } = require('./options')
const { request } = require('./requests')

const DEFAULT_NAMESPACE = 'default'

class AsyncDataStore {
  #store
  #handle
  #leave
  #default
  #closing

  /** For DataStore only. `handle` gives the native store, or throws once it is closed; `leave` lets
   *  no more calls in and returns the native store if it has to be closed. */
  constructor (store, handle, leave) {
    this.#store = store
    this.#handle = handle
    this.#leave = leave
    this.#default = this.useNamespace(DEFAULT_NAMESPACE)
  }

  useNamespace (name, options) {
    return new AsyncNamespace(this.#handle, name, options)
  }

  useQueue (name, options) {
    return new AsyncQueue(this.#handle, name, options)
  }

  async listNamespaces (options) {
    return this.#store.listNamespaces(options)
  }

  get (key, fallback) {
    return this.#default.get(key, fallback)
  }

  set (key, value, options) {
    return this.#default.set(key, value, options)
  }

  has (key, options) {
    return this.#default.has(key, options)
  }

  delete (key, options) {
    return this.#default.delete(key, options)
  }

  watch (options) {
    return startIteration(() => this.#store.watch(options))
  }

  async transaction (fn, options) {
    refuseOptions(options, 'transaction')
    return runAsyncTransaction(this.#handle, fn)
  }

  flush () {
    return request((id) => native.requestFlush(this.#handle(), id))
  }

  async backup (directory, options) {
    return this.#store.backup(directory, options)
  }

  async stats () {
    return this.#store.stats()
  }

  async close () {
    const open = this.#leave()
    if (open !== undefined) this.#closing = request((id) => native.requestClose(open, id))
    await this.#closing
  }

  [Symbol.asyncDispose] () {
    return this.close()
  }
}

module.exports = { AsyncDataStore }
