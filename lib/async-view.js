'use strict'

// What namespaces with promises have in common with those of a transaction: their reads, which wait
// for nobody, are those of the synchronous twin.

class AsyncView {
  #open

  /** `open` gives the synchronous twin, or throws what `useNamespace` would: in a call, so that a
   *  promise is rejected. */
  constructor (name, open) {
    this.#open = open
    Object.defineProperty(this, 'name', { value: name, enumerable: true })
  }

  async get (key, fallback) {
    return this.#open().get(key, fallback)
  }

  async getEntry (key) {
    return this.#open().getEntry(key)
  }

  async has (key, options) {
    return this.#open().has(key, options)
  }

  async getMany (keys) {
    return this.#open().getMany(keys)
  }

  async getAll (options) {
    return this.#open().getAll(options)
  }

  async listKeys (options) {
    return this.#open().listKeys(options)
  }

  async count () {
    return this.#open().count()
  }
}

module.exports = { AsyncView }
