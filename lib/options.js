'use strict'

// Checks of arguments. A misspelled option throws and names the right one, because an option that
// is silently ignored (`tll`) is found only when data that should have expired is still there.

const { isArrayBuffer, isDate, isMap, isPromise, isSet, isUint8Array } = require('node:util').types
const { typeError, rangeError, DataStoreError } = require('./errors')

// Without a prototype, so that what somebody put on Object.prototype is no option.
const NO_OPTIONS = Object.freeze({ __proto__: null })

const SET_OPTIONS = ['ttl', 'metadata', 'ifVersion']
const SET_MANY_OPTIONS = ['ttl', 'metadata']
const RANGE_OPTIONS = ['prefix', 'start', 'end', 'reverse', 'limit']

const MAX_TTL_MS = 315_576_000_000_000
const MAX_LEASE_MS = 24 * 60 * 60 * 1000

// What native writes take where nothing is given.
const NO_TTL = 0
const KEEP_TTL = -1
const ANY_VERSION = -1

/** The options of a call: the own properties of an object with no names but `known`. */
function checkOptions (options, known, call) {
  if (options === undefined) return NO_OPTIONS
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    throw typeError('ERR_INVALID_OPTION',
      `the options of ${call} are an object${probableOptions(options, known)}`)
  }
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    const nearest = known.reduce((best, other) =>
      distance(name, other) < distance(name, best) ? other : best)
    const hint = distance(name, nearest) <= Math.max(2, name.length / 2)
      ? `: did you mean ${nearest}?`
      : `: it takes ${known.join(', ')}`
    throw typeError('ERR_INVALID_OPTION', `${call} has no option ${name}${hint}`)
  }
  return { __proto__: null, ...options }
}

/** What was probably meant where a bare value was given. */
function probableOptions (value, known) {
  if (typeof value === 'string' && known.includes('prefix')) {
    return `: did you mean { prefix: ${JSON.stringify(value)} }?`
  }
  if (typeof value === 'number' && known.includes('ttl')) {
    return `: did you mean { ttl: ${value} } (milliseconds)?`
  }
  return ''
}

/** Edit distance, for the hint. */
function distance (a, b) {
  a = a.toLowerCase()
  b = b.toLowerCase()
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[b.length]
}

/** A whole number between `low` and `high`, or undefined. */
function checkInteger (value, name, low, high) {
  if (value === undefined) return undefined
  if (typeof value !== 'number') throw typeError('ERR_INVALID_OPTION', `${name} is a number`)
  if (!Number.isInteger(value) || value < low || value > high) {
    throw rangeError('ERR_INVALID_OPTION', `${name} is a whole number from ${low} to ${high}`)
  }
  return value
}

/** The option `ifVersion`, or undefined where it is left out. */
function checkVersion (options) {
  const { ifVersion } = options
  // `{ ifVersion: namespace.getEntry(key)?.version }` asks for a check, most of all where there
  // is no entry yet.
  if (ifVersion === undefined && 'ifVersion' in options) {
    throw typeError('ERR_INVALID_OPTION',
      "ifVersion is undefined: give 0 for 'there must be no entry'")
  }
  if (typeof ifVersion === 'object') {
    throw typeError('ERR_INVALID_OPTION', 'ifVersion is a number: give entry.version')
  }
  return checkInteger(ifVersion, 'ifVersion', 0, Number.MAX_SAFE_INTEGER)
}

/** The options of a write: { ttlMs, json, version } as native calls take them. */
function checkSetOptions (options, call, defaultTtl) {
  const known = call === 'setMany' ? SET_MANY_OPTIONS : SET_OPTIONS
  const checked = checkOptions(options, known, call)
  return {
    ttlMs: checkInteger(checked.ttl, 'ttl (milliseconds)', 1, MAX_TTL_MS) ?? defaultTtl,
    json: checkMetadata(checked.metadata),
    version: checkVersion(checked) ?? ANY_VERSION
  }
}

/** The options of a listing as native calls take them: reverse, limit, prefix, start, end. */
function checkRange (options, call) {
  const { prefix, start, end, reverse, limit } = checkOptions(options, RANGE_OPTIONS, call)
  return [
    checkBoolean(reverse, 'reverse') ?? false,
    checkInteger(limit, 'limit', 0, Number.MAX_SAFE_INTEGER) ?? -1,
    checkString(prefix, 'prefix'),
    checkString(start, 'start'),
    checkString(end, 'end')
  ]
}

/** What `increment` adds. */
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

/** A boolean, or undefined. */
function checkBoolean (value, name) {
  if (value !== undefined && typeof value !== 'boolean') {
    throw typeError('ERR_INVALID_OPTION', `${name} is true or false`)
  }
  return value
}

/** A well-formed string, or undefined. */
function checkString (value, name) {
  if (value === undefined) return undefined
  if (typeof value !== 'string') throw typeError('ERR_INVALID_OPTION', `${name} is a string`)
  if (!value.isWellFormed()) {
    throw new DataStoreError('ERR_INVALID_OPTION', `${name} has a lone surrogate`)
  }
  return value
}

/** A function. */
function checkFunction (value, name) {
  if (typeof value !== 'function') throw typeError('ERR_INVALID_OPTION', `${name} is a function`)
  return value
}

/** The name of a namespace or queue; its length and characters are checked where it is used first. */
function checkName (name, of = 'namespace') {
  if (typeof name !== 'string') {
    throw typeError('ERR_INVALID_NAMESPACE', `the name of a ${of} is a string`)
  }
  if (!name.isWellFormed()) {
    throw new DataStoreError('ERR_INVALID_NAMESPACE', 'the name has a lone surrogate')
  }
  return name
}

/** A key; its length is checked by the store. */
function checkKey (key) {
  if (typeof key !== 'string') {
    throw typeError('ERR_INVALID_KEY', `a key is a string, not ${kindOf(key)}`)
  }
  return key
}

/** What a value is, as messages name it (as `kind` of src/value.rs does). */
function kindOf (value) {
  if (value === null || value === undefined) return String(value)
  if (Array.isArray(value)) return 'an array'
  for (const [isOne, name] of KINDS) if (isOne(value)) return name
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}

const KINDS = [
  [isPromise, 'a promise (await it first)'],
  [isDate, 'a date'],
  [isMap, 'a map'],
  [isSet, 'a set'],
  [isUint8Array, 'bytes'],
  [isArrayBuffer, 'a typed array'],
  [ArrayBuffer.isView, 'a typed array']
]

/** A task's id; its length is checked by the store. */
function checkTaskId (id) {
  if (typeof id !== 'string') {
    throw typeError('ERR_INVALID_KEY', `a task's id is a string, not ${kindOf(id)}`)
  }
  if (!id.isWellFormed()) {
    throw new DataStoreError('ERR_INVALID_KEY', "a task's id is a well-formed string")
  }
  return id
}

/** The keys of an iterable. */
function checkKeys (keys) {
  if (typeof keys === 'string' || keys === null || keys === undefined ||
      typeof keys[Symbol.iterator] !== 'function') {
    throw typeError('ERR_INVALID_KEY', 'keys are given as an array or another iterable of strings')
  }
  return Array.from(keys, checkKey)
}

const MAX_METADATA_DEPTH = 100

/** Metadata as JSON text; values that JSON would drop or change are refused. */
function checkMetadata (metadata) {
  if (metadata === undefined) return undefined
  if (typeof metadata !== 'object' || metadata === null || !isPlain(metadata)) {
    throw typeError('ERR_INVALID_OPTION', 'metadata is a plain object')
  }
  const json = JSON.stringify(copyOfJson(metadata, 'metadata', []))
  // JSON.stringify escapes those surrogates that are alone; a backslash of the text is doubled.
  if (/(?<!\\)(?:\\\\)*\\ud[89a-f]/.test(json)) {
    throw new DataStoreError('ERR_INVALID_OPTION', 'metadata has a lone surrogate')
  }
  return json
}

// A copy, so that every property is read once and no toJSON changes what was checked. `within`
// holds the objects around the value.
function copyOfJson (value, name, within) {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      if (Number.isFinite(value)) return value
      break
    case 'object':
      return value === null ? null : copyOfObject(value, name, within)
  }
  const isNumber = typeof value === 'number'
  throw notJson(isNumber ? String(value) : kindOf(value), name, 'null removes a field')
}

function copyOfObject (object, name, within) {
  if (within.includes(object)) throw notJson('a circular reference', name)
  if (within.length === MAX_METADATA_DEPTH) throw notJson('what is nested so deeply', name)
  const around = [...within, object]
  if (Array.isArray(object)) {
    return Array.from(object, (item, index) => copyOfJson(item, `[${index}]`, around))
  }
  if (!isPlain(object)) throw notJson(classOf(object), name, remedyFor(object))
  const copy = Object.create(null)
  for (const key of Object.keys(object)) copy[key] = copyOfJson(object[key], key, around)
  return copy
}

function notJson (what, name, remedy = 'give plain objects and arrays') {
  return typeError('ERR_INVALID_OPTION',
    `metadata is JSON, which cannot hold ${what} (${name}): ${remedy}`)
}

function classOf (value) {
  const name = value.constructor?.name
  return typeof name === 'string' && name !== '' ? `an instance of ${name}` : kindOf(value)
}

function remedyFor (value) {
  if (isDate(value)) return 'give date.toISOString()'
  if (isMap(value)) return 'give Object.fromEntries(map)'
  if (isSet(value)) return 'give an array, such as [...set]'
  if (isUint8Array(value)) return "give text, such as Buffer.from(bytes).toString('base64')"
}

/** Whether an object has no class, in whichever realm it was made. */
function isPlain (object) {
  const prototype = Object.getPrototypeOf(object)
  return prototype === null ||
    (Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype, 'isPrototypeOf'))
}

/** How long a worker keeps a task, or undefined. */
function checkLease (ms, name) {
  return checkInteger(ms, `${name} (milliseconds)`, 1, MAX_LEASE_MS)
}

/** How long a task waits, or undefined. */
function checkDelay (ms, name) {
  return checkInteger(ms, `${name} (milliseconds)`, 0, MAX_TTL_MS)
}

module.exports = {
  NO_TTL,
  KEEP_TTL,
  ANY_VERSION,
  checkOptions,
  checkInteger,
  checkLease,
  checkDelay,
  checkVersion,
  checkBoolean,
  checkString,
  checkFunction,
  checkName,
  checkKey,
  checkKeys,
  checkTaskId,
  checkMetadata,
  checkSetOptions,
  checkRange,
  checkIncrement,
  refuseOptions,
  kindOf
}
