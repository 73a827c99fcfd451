'use strict'

// The bytes that a decoder reads, and where it stands in them.

const { DataStoreError } = require('./errors')
const { KEPT_BUFFER_BYTES, MAX_VALUE_DEPTH } = require('./format')

const NOTHING = Buffer.alloc(0)

// One object of a fixed shape, because the engine knows the types of its fields; a variable of a
// module is checked at each use.
const input = {
  bytes: NOTHING,
  view: viewOf(NOTHING),
  at: 0,
  limit: 0,
  depth: 0,
  isMany: false,
  /** Whether the property name just read is one that Object.prototype has; its user resets it. */
  isInherited: false
}

function viewOf (buffer) {
  return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}

function use (buffer) {
  input.bytes = buffer
  input.view = viewOf(buffer)
}

function begin (buffer, start, end, isMany) {
  input.isMany = isMany
  if (input.bytes !== buffer) use(buffer)
  input.at = start
  input.limit = end
  input.depth = 0
}

function finish () {
  if (input.at !== input.limit) throw corrupt(`${input.limit - input.at} bytes follow its value`)
  if (input.bytes.length > KEPT_BUFFER_BYTES) use(NOTHING)
}

const corrupt = (what) => new DataStoreError('ERR_CORRUPT', 'the store is damaged: a record ' +
  `holds bytes that are not a value (${what}). Do not write to it; copy the directory, then ` +
  'restore a backup')

/** The position of the next `length` bytes, which are then behind us. */
function take (length) {
  const at = input.at
  const end = at + length
  if (end > input.limit) throw corrupt('it is cut short')
  input.at = end
  return at
}

function enter (elements) {
  // Each has at least one byte, so a damaged length cannot ask for more memory than there is data.
  if (elements > input.limit - input.at) throw corrupt('it is cut short')
  if (++input.depth > MAX_VALUE_DEPTH) throw corrupt('it is nested too deeply')
}

function leave () {
  input.depth--
}

module.exports = { input, begin, finish, corrupt, take, enter, leave }
