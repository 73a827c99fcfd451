'use strict'

// Every error this package throws carries a stable `code` and says whether trying again may help.
// Mistakes in the calling program are TypeError or RangeError, as elsewhere in JavaScript; they
// too answer `instanceof DataStoreError`, so that one check catches all that comes from here.

// Registered, so that errors from another copy of this package are recognized.
const brand = Symbol.for('commonhold.error')

// Filled by the native part, which knows every code (src/error.rs).
const retryableCodes = new Set()

class DataStoreError extends Error {
  constructor (code, message, options) {
    super(message, options)
    mark(this, code)
  }

  static [Symbol.hasInstance] (value) {
    if (this !== DataStoreError) return Function.prototype[Symbol.hasInstance].call(this, value)
    return typeof value === 'object' && value !== null && value[brand] === true
  }
}
Object.defineProperty(DataStoreError.prototype, 'name', {
  value: 'DataStoreError', writable: true, configurable: true
})

function mark (error, code) {
  error.code = code
  error.retryable = retryableCodes.has(code)
  Object.defineProperty(error, brand, { value: true })
  return error
}

/** A wrong type: `TypeError` with a code. */
const typeError = (code, message) => mark(new TypeError(message), code)

/** A value out of its range: `RangeError` with a code. */
const rangeError = (code, message) => mark(new RangeError(message), code)

/** An error of the kind that native code asks for. */
function makeError (kind, code, message) {
  if (kind === 'type') return typeError(code, message)
  if (kind === 'range') return rangeError(code, message)
  return new DataStoreError(code, message)
}

module.exports = { DataStoreError, typeError, rangeError, makeError, retryableCodes }
