'use strict'

// The face of a namespace. Everything that must be atomic happens in one native call.

const native = require('./native')
const { encode } = require('./codec')
const { DataStoreError, typeError } = require('./errors')
const { collect, collectKeys, makeEntry } = require('./listing')
const {
  ANY_VERSION, KEEP_TTL, NO_TTL, checkOptions, checkVersion, checkString, checkFunction, checkKey,
  checkKeys, checkIncrement, checkRange, checkSetOptions, kindOf, refuseOptions
} = require('./options')
const { readValue, readEntry, readChunk } = require('./output')
const { packEntries } = require('./pack')
const { LOST, MAX_RACES, race } = require('./races')
const { checkSchema, validate } = require('./schema')
const { waitFor } = require('./wait-for')
const { watch } = require('./watch')

const WATCH_OPTIONS = ['key', 'prefix', 'since', 'signal']

class Namespace {
  #store
  #native
  #schema

  /** For DataStore.useNamespace only. */
  constructor (store, name, options) {
    this.#schema = checkSchema(checkOptions(options, ['schema'], 'useNamespace').schema)
    this.#store = store
    this.#native = native.namespace(store, name)
    Object.defineProperty(this, 'name', { value: name, enumerable: true })
  }

  // -------------------------------------------------------------- reads

  get (key, fallback) {
    return readValue(this.#native, key, fallback)
  }

  getEntry (key) {
    return makeEntry(key, readEntry(this.#native, key))
  }

  has (key, options) {
    if (options !== undefined) refuseOptions(options, 'has')
    return native.has(this.#native, key)
  }

  getMany (keys) {
    const scan = native.readMany(this.#native, checkKeys(keys))
    return collect(scan)
  }

  getAll (options) {
    return collect(this.#scan(options, 'getAll', true, true))
  }

  listKeys (options) {
    const scan = this.#scan(options, 'listKeys', false, true)
    return collectKeys(scan)
  }

  count () {
    return native.count(this.#native)
  }

  keys (options) {
    return iterate(this.#scan(options, 'keys', false, false), false, (key) => key)
  }

  values (options) {
    return iterate(this.#scan(options, 'values', true, false), true, (key, value) => value)
  }

  entries (options) {
    return iterate(this.#scan(options, 'entries', true, false), true, (key, value) => [key, value])
  }

  [Symbol.iterator] () {
    return this.entries()
  }

  #scan (options, call, withValues, whole) {
    return native.scan(this.#native, withValues, whole, ...checkRange(options, call))
  }

  // -------------------------------------------------------------- changes

  watch (options) {
    const checked = checkOptions(options, WATCH_OPTIONS, 'watch')
    if (checked.key !== undefined) {
      checkKey(checked.key)
      if (checked.prefix !== undefined) {
        throw typeError('ERR_INVALID_OPTION', 'watch takes a key or a prefix, not both')
      }
    }
    checkString(checked.prefix, 'prefix')
    return watch(this.#store, this.name, checked)
  }

  waitFor (key, options) {
    return waitFor(this.#store, this.name, this.#native, key, options)
  }

  // -------------------------------------------------------------- writes

  set (key, value, options) {
    if (options === undefined && this.#schema === undefined) {
      return native.set(this.#native, key, encode(value), NO_TTL, undefined, ANY_VERSION)
    }
    checkKey(key)
    const { ttlMs, json, version } = checkSetOptions(options, 'set', NO_TTL)
    const output = validate(this.#schema, value, key)
    // Last, because a getter or a schema may store something, and encode() always gives the same
    // buffer.
    return native.set(this.#native, key, encode(output), ttlMs, json, version)
  }

  setMany (entries, options) {
    const { ttlMs, json } = checkSetOptions(options, 'setMany', NO_TTL)
    return packEntries(entries, (value, key) => validate(this.#schema, value, key), 'setMany',
      (packed, bytes) => native.setMany(this.#native, packed, bytes, ttlMs, json))
  }

  update (key, fn, options) {
    checkKey(key)
    checkFunction(fn, 'the second argument of update')
    const { ttlMs, json, version: required } = checkSetOptions(options, 'update', KEEP_TTL)
    const attempt = () => {
      const entry = this.getEntry(key)
      const version = entry === undefined ? 0 : entry.version
      if (required !== ANY_VERSION && required !== version) {
        native.throwConflict(this.#native, key, required, version)
      }
      const value = fn(entry?.value, entry)
      try {
        return this.#replace(key, value, version, ttlMs, json)
      } catch (error) {
        if (error.code !== 'ERR_CONFLICT' || required !== ANY_VERSION) throw error
        return LOST
      }
    }
    return race(this.#store, attempt, () => endlessUpdate(this.name, key))
  }

  /** The end of an update: writes or deletes, provided the entry is still at `version`. */
  #replace (key, value, version, ttlMs, json) {
    if (value === undefined) {
      if (version !== 0) native.delete(this.#native, key, version)
      return undefined
    }
    const output = validate(this.#schema, value, key)
    native.set(this.#native, key, encode(output), ttlMs, json, version)
    return output
  }

  increment (key, by = 1, options) {
    checkIncrement(by)
    refuseOptions(options, 'increment', ': it keeps the ttl; update() gives another')
    if (this.#schema === undefined) return native.increment(this.#native, key, by)
    return this.update(key, (value) => addTo(this.name, key, value, by))
  }

  delete (key, options) {
    const checked = checkOptions(options, ['ifVersion'], 'delete')
    return native.delete(this.#native, key, checkVersion(checked) ?? ANY_VERSION)
  }

  deleteMany (keys, options) {
    refuseOptions(options, 'deleteMany')
    return native.deleteMany(this.#native, checkKeys(keys))
  }

  clear (options) {
    const { prefix } = checkOptions(options, ['prefix'], 'clear')
    return native.clear(this.#native, checkString(prefix, 'prefix'))
  }

  /** What native calls of a namespace take. */
  static native (namespace) {
    return namespace.#native
  }

  static schema (namespace) {
    return namespace.#schema
  }
}

/** What an increment makes of a value. */
function addTo (namespace, key, value, by) {
  if (value !== undefined && typeof value !== 'number') {
    throw new DataStoreError('ERR_NOT_A_NUMBER',
      `${JSON.stringify(key)} in ${JSON.stringify(namespace)} holds ${kindOf(value)}, which ` +
      'cannot be incremented: use update() or another key')
  }
  const sum = (value ?? 0) + by
  if (Number.isFinite(sum)) return sum
  throw new DataStoreError('ERR_INVALID_OPTION',
    'invalid option: the sum is too large for a number')
}

function endlessUpdate (namespace, key) {
  return new DataStoreError('ERR_CONFLICT',
    `${JSON.stringify(key)} in ${JSON.stringify(namespace)} was written ${MAX_RACES} times in a ` +
    'row while update() ran: does its function write the key itself? It must only return the value')
}

/** Chunk by chunk; no snapshot is held while the loop's body runs. */
function * iterate (scan, withValues, item) {
  let done = false
  while (!done) {
    let keys = []
    let values
    done = readChunk(scan, withValues, (someKeys, someValues) => {
      keys = someKeys
      values = someValues
    })
    for (let index = 0; index < keys.length; index++) yield item(keys[index], values?.[index])
  }
}

module.exports = { Namespace, addTo, endlessUpdate }
