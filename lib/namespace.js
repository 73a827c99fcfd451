'use strict'

// The face of a namespace. Everything that must be atomic happens in one native call.

const native = require('./native')
const { encode } = require('./codec')
const { DataStoreError, rangeError, typeError } = require('./errors')
const {
  checkOptions, checkInteger, checkVersion, checkBoolean, checkString, checkFunction, checkKey,
  checkKeys, checkMetadata, kindOf
} = require('./options')
const { readValue, readEntry, readChunk, drain } = require('./output')
const { packEntries } = require('./pack')
const { checkSchema, validate } = require('./schema')
const { waitFor } = require('./wait-for')
const { watch } = require('./watch')

const SET_OPTIONS = ['ttl', 'metadata', 'ifVersion']
const SET_MANY_OPTIONS = ['ttl', 'metadata']
const WATCH_OPTIONS = ['key', 'prefix', 'since', 'signal']
const RANGE_OPTIONS = ['prefix', 'start', 'end', 'reverse', 'limit']
const MAX_TTL_MS = 315_576_000_000_000
const NO_TTL = 0
const KEEP_TTL = -1
const ANY_VERSION = -1

// Lost races after which `update` asks for a turn, and how long it waits for one.
const RACES_BEFORE_TURN = 3
const TURN_WAIT_MS = 1000

// Writers that lose in turn get through long before, so only a function that always writes the key
// itself loses as often.
const MAX_RACES = 1000

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
    const found = readEntry(this.#native, key)
    if (found === undefined) return undefined
    const [fields, value] = found
    const [version, createdAt, updatedAt, expiresAt, createdBy, updatedBy, metadata] = fields
    const entry = {
      key,
      value,
      version,
      createdAt: new Date(createdAt),
      updatedAt: new Date(updatedAt),
      createdBy,
      updatedBy,
      metadata: JSON.parse(metadata)
    }
    if (expiresAt !== null) entry.expiresAt = new Date(expiresAt)
    return entry
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
    let all = []
    drain(scan, false, (keys) => { all = all.length === 0 ? keys : append(all, keys) })
    return all
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
    const { prefix, start, end, reverse, limit } = checkOptions(options, RANGE_OPTIONS, call)
    return native.scan(
      this.#native,
      withValues,
      whole,
      checkBoolean(reverse, 'reverse') ?? false,
      checkInteger(limit, 'limit', 0, Number.MAX_SAFE_INTEGER) ?? -1,
      checkString(prefix, 'prefix'),
      checkString(start, 'start'),
      checkString(end, 'end')
    )
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
    const checked = checkOptions(options, SET_OPTIONS, 'set')
    const ttlMs = checkTtl(checked.ttl) ?? NO_TTL
    const json = checkMetadata(checked.metadata)
    const version = checkVersion(checked) ?? ANY_VERSION
    const output = validate(this.#schema, value, key)
    // Last, because a getter or a schema may store something, and encode() always gives the same
    // buffer.
    return native.set(this.#native, key, encode(output), ttlMs, json, version)
  }

  setMany (entries, options) {
    const { ttl, metadata } = checkOptions(options, SET_MANY_OPTIONS, 'setMany')
    const ttlMs = checkTtl(ttl) ?? NO_TTL
    const json = checkMetadata(metadata)
    return packEntries(entries, (value, key) => validate(this.#schema, value, key), 'setMany',
      (packed, bytes) => native.setMany(this.#native, packed, bytes, ttlMs, json))
  }

  update (key, fn, options) {
    checkKey(key)
    checkFunction(fn, 'the second argument of update')
    const checked = checkOptions(options, SET_OPTIONS, 'update')
    const ttlMs = checkTtl(checked.ttl) ?? KEEP_TTL
    const json = checkMetadata(checked.metadata)
    const required = checkVersion(checked) ?? ANY_VERSION
    let turn
    try {
      for (let races = 1; ; races++) {
        const entry = this.getEntry(key)
        const version = entry === undefined ? 0 : entry.version
        if (required !== ANY_VERSION && required !== version) {
          throw conflict(this.name, key, required, version)
        }
        const value = fn(entry?.value, entry)
        try {
          return this.#replace(key, value, version, ttlMs, json)
        } catch (error) {
          if (error.code !== 'ERR_CONFLICT' || required !== ANY_VERSION) throw error
        }
        if (races === MAX_RACES) throw endlessUpdate(this.name, key)
        // Writers that keep losing line up, so that each gets through in its turn.
        if (races >= RACES_BEFORE_TURN) turn ??= native.takeTurn(this.#store, TURN_WAIT_MS)
      }
    } finally {
      if (turn !== undefined) native.endTurn(turn)
    }
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
    return this.update(key, (value) => {
      if (value !== undefined && typeof value !== 'number') {
        throw new DataStoreError('ERR_NOT_A_NUMBER',
          `${JSON.stringify(key)} in ${JSON.stringify(this.name)} holds ${kindOf(value)}, which ` +
          'cannot be incremented: use update() or another key')
      }
      const sum = (value ?? 0) + by
      if (Number.isFinite(sum)) return sum
      throw new DataStoreError('ERR_INVALID_OPTION',
        'invalid option: the sum is too large for a number')
    })
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
}

function checkTtl (ttl) {
  return checkInteger(ttl, 'ttl (milliseconds)', 1, MAX_TTL_MS)
}

function checkIncrement (by) {
  if (typeof by !== 'number') throw typeError('ERR_INVALID_OPTION', 'increment takes a number')
  if (!Number.isFinite(by)) {
    throw rangeError('ERR_INVALID_OPTION', 'increment takes a finite number')
  }
}

// Anything but an object is let through: `keys.filter(namespace.has, namespace)` gives an index.
function refuseOptions (options, call, remedy = '') {
  if (typeof options !== 'object' || options === null) return
  throw typeError('ERR_INVALID_OPTION', `${call} takes no options${remedy}`)
}

function conflict (namespace, key, expected, actual) {
  return new DataStoreError('ERR_CONFLICT',
    `${JSON.stringify(key)} in ${JSON.stringify(namespace)} is at version ${actual}, ` +
    `not ${expected}: another writer was first`)
}

function endlessUpdate (namespace, key) {
  return new DataStoreError('ERR_CONFLICT',
    `${JSON.stringify(key)} in ${JSON.stringify(namespace)} was written ${MAX_RACES} times in a ` +
    'row while update() ran: does its function write the key itself? It must only return the value')
}

/** All entries of a scan as an object. */
function collect (scan) {
  const all = {}
  drain(scan, true, (keys, values) => {
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index]
      if (key in Object.prototype) define(all, key, values[index])
      else all[key] = values[index]
    }
  })
  return all
}

function define (object, key, value) {
  const writable = true
  Object.defineProperty(object, key, { value, writable, enumerable: true, configurable: true })
}

function append (all, more) {
  for (const item of more) all.push(item)
  return all
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

module.exports = { Namespace }
