'use strict'

// The face of a namespace with promises. Reads are those of the synchronous one, because they wait
// for nobody; writes are requests to the writer's thread. Methods encode what they are given before
// they return.

const native = require('./native')
const { encode } = require('./codec')
const { startIteration } = require('./async-iteration')
const { AsyncView } = require('./async-view')
const { Namespace, addTo, endlessUpdate } = require('./namespace')
const {
  ANY_VERSION, KEEP_TTL, NO_TTL, checkFunction, checkIncrement, checkKey, checkKeys, checkName,
  checkOptions, checkSetOptions, checkString, checkVersion, refuseOptions
} = require('./options')
const { packEntries } = require('./pack')
const { LOST, raceLater } = require('./races')
const { request } = require('./requests')
const { validate } = require('./schema')

class AsyncNamespace extends AsyncView {
  #handle
  #options
  #sync
  #native
  #schema

  /** For AsyncDataStore.useNamespace only. `handle` gives the native store, or throws. */
  constructor (handle, name, options) {
    super(name, () => this.#open())
    this.#handle = handle
    this.#options = options
  }

  /** Throws what `useNamespace` of the store would: here, so that a promise is rejected. */
  #open () {
    const store = this.#handle()
    if (this.#sync === undefined) {
      const namespace = new Namespace(store, checkName(this.name), this.#options)
      this.#native = Namespace.native(namespace)
      this.#schema = Namespace.schema(namespace)
      this.#sync = namespace
    }
    return this.#sync
  }

  // -------------------------------------------------------------- iterators

  async * keys (options) {
    yield * this.#open().keys(options)
  }

  async * values (options) {
    yield * this.#open().values(options)
  }

  async * entries (options) {
    yield * this.#open().entries(options)
  }

  [Symbol.asyncIterator] () {
    return this.entries()
  }

  // -------------------------------------------------------------- changes

  watch (options) {
    return startIteration(() => this.#open().watch(options))
  }

  async waitFor (key, options) {
    return this.#open().waitFor(key, options)
  }

  // -------------------------------------------------------------- writes

  set (key, value, options) {
    return request((id) => {
      this.#open()
      if (options === undefined && this.#schema === undefined) {
        return native.requestSet(
          this.#native, key, encode(value), NO_TTL, undefined, ANY_VERSION, id)
      }
      checkKey(key)
      const { ttlMs, json, version } = checkSetOptions(options, 'set', NO_TTL)
      const output = validate(this.#schema, value, key)
      return native.requestSet(this.#native, key, encode(output), ttlMs, json, version, id)
    })
  }

  setMany (entries, options) {
    return request((id) => {
      this.#open()
      const { ttlMs, json } = checkSetOptions(options, 'setMany', NO_TTL)
      return packEntries(entries, (value, key) => validate(this.#schema, value, key), 'setMany',
        (packed, bytes) => native.requestSetMany(this.#native, packed, bytes, ttlMs, json, id))
    })
  }

  async update (key, fn, options) {
    this.#open()
    checkKey(key)
    checkFunction(fn, 'the second argument of update')
    const { ttlMs, json, version: required } = checkSetOptions(options, 'update', KEEP_TTL)
    const attempt = async () => {
      const entry = this.#open().getEntry(key)
      const version = entry === undefined ? 0 : entry.version
      if (required !== ANY_VERSION && required !== version) {
        native.throwConflict(this.#native, key, required, version)
      }
      const value = await fn(entry?.value, entry)
      try {
        return await this.#replace(key, value, version, ttlMs, json)
      } catch (error) {
        if (error.code !== 'ERR_CONFLICT' || required !== ANY_VERSION) throw error
        return LOST
      }
    }
    return raceLater(this.#handle(), attempt, () => endlessUpdate(this.name, key))
  }

  /** The end of an update: writes or deletes, provided the entry is still at `version`. */
  async #replace (key, value, version, ttlMs, json) {
    this.#open()
    if (value === undefined) {
      if (version !== 0) await request((id) => native.requestDelete(this.#native, key, version, id))
      return undefined
    }
    const output = validate(this.#schema, value, key)
    await request((id) =>
      native.requestSet(this.#native, key, encode(output), ttlMs, json, version, id))
    return output
  }

  async increment (key, by = 1, options) {
    this.#open()
    checkIncrement(by)
    refuseOptions(options, 'increment', ': it keeps the ttl; update() gives another')
    if (this.#schema === undefined) {
      return request((id) => native.requestIncrement(this.#native, key, by, id))
    }
    return this.update(key, (value) => addTo(this.name, key, value, by))
  }

  delete (key, options) {
    return request((id) => {
      this.#open()
      const version = checkVersion(checkOptions(options, ['ifVersion'], 'delete')) ?? ANY_VERSION
      return native.requestDelete(this.#native, key, version, id)
    })
  }

  deleteMany (keys, options) {
    return request((id) => {
      this.#open()
      refuseOptions(options, 'deleteMany')
      return native.requestDeleteMany(this.#native, checkKeys(keys), id)
    })
  }

  clear (options) {
    return request((id) => {
      this.#open()
      const { prefix } = checkOptions(options, ['prefix'], 'clear')
      return native.requestClear(this.#native, checkString(prefix, 'prefix'), id)
    })
  }
}

module.exports = { AsyncNamespace }
