'use strict'

// The buffer that native reads write into, one per thread (see src/node/output.rs).

const native = require('./native')
const { decode, decodeFramed } = require('./codec')

const HEADER_BYTES = 64
const SMALL_BYTES = 256 * 1024
const ENTRIES = 0
const END = 1
const DONE = 2
const NEEDED = 3

let buffer
let header

function allocate (bytes) {
  buffer = Buffer.allocUnsafeSlow(bytes)
  header = new Float64Array(buffer.buffer, 0, HEADER_BYTES / 8)
  native.setOutput(buffer)
}

/** Gives a buffer that was needed for one large value back to the collector. */
function shrink () {
  if (buffer.length > SMALL_BYTES) allocate(SMALL_BYTES)
}

/** Reads the value that a native `get` leaves; `fallback` where there is none. */
const valueReader = (get) => (view, key, fallback) => {
  let end = get(view, key)
  if (end > 0) return decode(buffer, HEADER_BYTES, end)
  if (end === -1) return fallback
  // The value may have grown again before the next look.
  while (end < -1) {
    allocate(-end)
    end = get(view, key)
  }
  const value = end === -1 ? fallback : decode(buffer, HEADER_BYTES, end)
  shrink()
  return value
}

/** Reads what a native `getEntry` leaves: [fields, value]; undefined where there is no entry. */
const entryReader = (getEntry) => (view, key) => {
  let end = getEntry(view, key)
  while (end < -1) {
    allocate(-end)
    end = getEntry(view, key)
  }
  const entry = end === -1 ? undefined : decodeFramed(buffer, HEADER_BYTES, end)
  shrink()
  return entry
}

/** Calls `take(keys, values)` for each chunk of a scan, until it ends. */
function drain (scan, withValues, take) {
  while (!readChunk(scan, withValues, take));
}

/** Calls `take(keys, values)` for the next chunk of a scan; returns whether the scan has ended. */
function readChunk (scan, withValues, take) {
  let keys = native.nextChunk(scan)
  while (header[NEEDED] > 0) {
    allocate(header[NEEDED])
    keys = native.nextChunk(scan)
  }
  const done = header[DONE] === 1
  if (header[ENTRIES] > 0) {
    const values = withValues ? decodeFramed(buffer, HEADER_BYTES, header[END]) : undefined
    take(typeof keys === 'string' ? keys.split('\0') : keys, values)
  }
  shrink()
  return done
}

/** The changes that a watcher has to tell: each its fields, and a value where it is a set. */
function readChanges (watcher) {
  native.readChanges(watcher)
  while (header[NEEDED] > 0) {
    allocate(header[NEEDED])
    native.readChanges(watcher)
  }
  const items = header[ENTRIES] === 0 ? [] : decodeFramed(buffer, HEADER_BYTES, header[END])
  shrink()
  return items
}

// Whoever loads modules anew (a test runner) still has the same addon, which writes into one buffer.
if (native.output === undefined) {
  allocate(SMALL_BYTES)
  native.output = {
    readValue: valueReader(native.get),
    readEntry: entryReader(native.getEntry),
    readTransactionValue: valueReader(native.transactionGet),
    readTransactionEntry: entryReader(native.transactionGetEntry),
    readChunk,
    readChanges,
    drain
  }
}

module.exports = native.output
