'use strict'

// Checks of arguments. A misspelled option throws and names the right one, because an option that
// is silently ignored (`tll`) is found only when data that should have expired is still there.

const { typeError, rangeError, DataStoreError } = require('./errors')

/** The options of a call: an object with no names but `known`. */
function checkOptions (options, known, call) {
  if (options === undefined) return {}
  if (options === null || typeof options !== 'object' || Array.isArray(options)) {
    throw typeError('ERR_INVALID_OPTION', `the options of ${call} are an object`)
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
  return options
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

/** A namespace's name; its length and characters are checked where it is used first. */
function checkName (name) {
  if (typeof name !== 'string') {
    throw typeError('ERR_INVALID_NAMESPACE', 'the name of a namespace is a string')
  }
  if (!name.isWellFormed()) {
    throw new DataStoreError('ERR_INVALID_NAMESPACE', 'the name has a lone surrogate')
  }
  return name
}

/** A key; its length is checked by the store. */
function checkKey (key) {
  if (typeof key !== 'string') throw typeError('ERR_INVALID_KEY', 'a key is a string')
  return key
}

/** The keys of an iterable. */
function checkKeys (keys) {
  if (typeof keys === 'string' || keys === null || keys === undefined ||
      typeof keys[Symbol.iterator] !== 'function') {
    throw typeError('ERR_INVALID_KEY', 'keys are given as an array or another iterable of strings')
  }
  return Array.from(keys, checkKey)
}

/** Metadata as JSON text; values that JSON would drop or change are refused. */
function checkMetadata (metadata) {
  if (metadata === undefined) return undefined
  const prototype = typeof metadata === 'object' && metadata !== null
    ? Object.getPrototypeOf(metadata)
    : undefined
  if (prototype !== null && (prototype === undefined || Object.getPrototypeOf(prototype) !== null)) {
    throw typeError('ERR_INVALID_OPTION', 'metadata is a plain object')
  }
  let json
  try {
    json = JSON.stringify(metadata, refuseWhatJsonLoses)
  } catch (error) {
    if (error instanceof DataStoreError) throw error
    throw typeError('ERR_INVALID_OPTION', `metadata is JSON: ${error.message}`)
  }
  if (!json.isWellFormed() || /\\ud[89a-f]/i.test(json)) {
    throw new DataStoreError('ERR_INVALID_OPTION', 'metadata has a lone surrogate')
  }
  return json
}

function refuseWhatJsonLoses (name, value) {
  const lost = typeof value === 'function' || typeof value === 'symbol' || value === undefined ||
    typeof value === 'bigint' || (typeof value === 'number' && !Number.isFinite(value))
  if (lost) {
    throw typeError('ERR_INVALID_OPTION',
      `metadata is JSON, which cannot hold ${String(value)} (${name}); null removes a field`)
  }
  return value
}

module.exports = {
  checkOptions,
  checkInteger,
  checkBoolean,
  checkString,
  checkFunction,
  checkName,
  checkKey,
  checkKeys,
  checkMetadata
}
