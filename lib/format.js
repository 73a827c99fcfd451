'use strict'

// The numbers of the value format (docs/format.md) that encoder and decoder share. The limits are
// those of src/limits.rs.

/** Deepest nesting of arrays, objects, maps and sets. */
const MAX_VALUE_DEPTH = 512

/** Largest encoded value, in bytes. */
const MAX_VALUE_BYTES = 512 * 1024 * 1024

/** A working buffer larger than this is given up after use, in bytes. */
const KEPT_BUFFER_BYTES = 1024 * 1024

/** MessagePack extension types. They are stored, so they never change their meaning. */
const UNDEFINED = 0
const MAP = 1
const SET = 2
const BIGINT = 3
const BUFFER = 4
const BINARY = 5
const UTF16 = 6
const INVALID_DATE = 7
const TIMESTAMP = -1

/** Kinds of BINARY by their code. A code is stored, so the order never changes. */
const BINARY_KINDS = [
  'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array',
  'Uint32Array', 'Float32Array', 'Float64Array', 'BigInt64Array', 'BigUint64Array',
  'Float16Array', 'ArrayBuffer', 'DataView'
]

module.exports = {
  MAX_VALUE_DEPTH,
  MAX_VALUE_BYTES,
  KEPT_BUFFER_BYTES,
  UNDEFINED,
  MAP,
  SET,
  BIGINT,
  BUFFER,
  BINARY,
  UTF16,
  INVALID_DATE,
  TIMESTAMP,
  BINARY_KINDS
}
