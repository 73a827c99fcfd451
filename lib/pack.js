'use strict'

// Packs many entries into one buffer for one native call: key, value, key, value ..., each after
// its length as a little-endian u32.

const { encode } = require('./codec')
const { DataStoreError, typeError, rangeError } = require('./errors')
const { checkKey } = require('./options')

const FIRST_BYTES = 64 * 1024
const MAX_BYTES = 1024 * 1024 * 1024
const KEPT_BYTES = 1024 * 1024

let kept = Buffer.allocUnsafeSlow(FIRST_BYTES)

/** Calls `send(buffer, bytes)` with what the entries make, and returns its result; `call` names
 *  the caller in messages. */
function packEntries (entries, validate, call, send) {
  // Taken, so that an entry's getter that calls setMany gets a buffer of its own.
  let buffer = kept ?? Buffer.allocUnsafeSlow(FIRST_BYTES)
  kept = undefined
  let end = 0
  for (const [key, value] of pairs(entries)) {
    checkKey(key)
    if (!key.isWellFormed()) {
      throw new DataStoreError('ERR_INVALID_KEY', 'a key is a well-formed string')
    }
    const bytes = encode(validate(value, key), key)
    // A UTF-16 code unit takes at most three bytes of UTF-8.
    const needed = end + 8 + key.length * 3 + bytes.length
    if (needed > buffer.length) buffer = grow(buffer, end, needed, call)
    const keyBytes = buffer.write(key, end + 4)
    buffer.writeUInt32LE(keyBytes, end)
    end += 4 + keyBytes
    buffer.writeUInt32LE(bytes.length, end)
    buffer.set(bytes, end + 4)
    end += 4 + bytes.length
  }
  try {
    return send(buffer, end)
  } finally {
    if (buffer.length <= KEPT_BYTES) kept = buffer
  }
}

function grow (buffer, end, needed, call) {
  if (needed > MAX_BYTES) {
    throw rangeError('ERR_VALUE_TOO_LARGE',
      `one ${call} takes at most ${MAX_BYTES} bytes: split the entries over several calls`)
  }
  const larger = Buffer.allocUnsafeSlow(Math.min(MAX_BYTES, Math.max(needed, buffer.length * 2)))
  buffer.copy(larger, 0, 0, end)
  return larger
}

/** Pairs of an iterable or of an object's own enumerable properties. */
function pairs (entries) {
  if (typeof entries !== 'object' || entries === null) {
    throw typeError('ERR_INVALID_VALUE',
      'setMany takes an object or an iterable of [key, value] pairs')
  }
  if (typeof entries[Symbol.iterator] !== 'function') return Object.entries(entries)
  return checkedPairs(entries)
}

function * checkedPairs (entries) {
  for (const pair of entries) {
    if (!Array.isArray(pair) || pair.length !== 2) {
      throw typeError('ERR_INVALID_VALUE', 'setMany takes pairs of [key, value]')
    }
    yield pair
  }
}

module.exports = { packEntries }
