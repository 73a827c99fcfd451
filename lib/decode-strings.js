'use strict'

// MessagePack strings to JavaScript strings.

const { isUtf8 } = require('node:buffer')
const { input, corrupt, take } = require('./decode-input')

// ---------------------------------------------------------------- any string

// One call into the engine makes a window of text, of which short strings are then cut: a call for
// each costs more. A string may keep its window alive, which is why the window is small.
const WINDOW_BYTES = 2048
const SHORT_STRING_BYTES = 256
const text = { window: '', start: 0, end: 0 }

function forgetText () {
  text.window = ''
  text.end = 0
}

function readString (length) {
  if (length >= 2 && length <= REPEATED_BYTES) return readRepeated(length)
  const at = take(length)
  const end = at + length
  if (length > SHORT_STRING_BYTES || !isAscii(input.view, at, end)) return utf8At(at, end)
  return cut(at, end)
}

function cut (at, end) {
  if (end > text.end) moveWindow(at)
  return text.window.substring(at - text.start, end - text.start)
}

function moveWindow (at) {
  text.start = at
  text.end = Math.min(at + WINDOW_BYTES, input.limit)
  text.window = input.bytes.latin1Slice(at, text.end)
}

const HIGH_BITS = 0x80808080

// Eight bytes at a step, the last eight perhaps twice, take a fifth of the time of one at a step.
function isAscii (view, at, end) {
  const length = end - at
  let bits = 0
  if (length >= 8) {
    bits = view.getInt32(end - 8) | view.getInt32(end - 4)
    for (; at < end - 8; at += 8) bits |= view.getInt32(at) | view.getInt32(at + 4)
  } else if (length >= 4) {
    bits = view.getInt32(at) | view.getInt32(end - 4)
  } else {
    for (; at < end; at++) bits |= view.getInt8(at)
  }
  return (bits & HIGH_BITS) === 0
}

function utf8At (at, end) {
  const string = input.bytes.utf8Slice(at, end)
  if (string.includes('\ufffd') && !isUtf8(input.bytes.subarray(at, end))) {
    throw corrupt('a string is not UTF-8')
  }
  return string
}

// ---------------------------------------------------------------- repeated strings

// States, roles and tags repeat from value to value, so the last short string of each hash is
// remembered and given out again. A list of 20,000 documents with six such strings takes half the
// time, most of it the collector's; `{ stage, timestamp }` needs no window, and half the time.
const REPEATED_BYTES = 12
const STRING_SLOTS = 1024
// Of each: the first, middle and last bytes, which together are all of them, and the length.
const words = new Int32Array(STRING_SLOTS * 4)
const strings = new Array(STRING_SLOTS).fill('')

/** A string of 2 to 12 bytes. */
function readRepeated (length) {
  const at = take(length)
  const end = at + length
  const { view } = input
  const first = length < 4 ? view.getInt16(at) : view.getInt32(at)
  const last = length < 4 ? view.getInt16(end - 2) : view.getInt32(end - 4)
  const middle = length > 8 ? view.getInt32(at + 4) : 0
  const slot = slotOf(first, middle, last ^ length)
  const word = slot * 4
  if (words[word] === first && words[word + 1] === middle && words[word + 2] === last &&
      words[word + 3] === length) return strings[slot]
  if (((first | middle | last) & HIGH_BITS) !== 0) return utf8At(at, end)
  words[word] = first
  words[word + 1] = middle
  words[word + 2] = last
  words[word + 3] = length
  strings[slot] = cut(at, end)
  return strings[slot]
}

function slotOf (first, middle, last) {
  const mixed = Math.imul(Math.imul(last, 0x9e3779b1) + middle, 0x85ebca6b) + first
  return Math.imul(mixed ^ mixed >>> 15, 0x9e3779b1) >>> 22
}

// ---------------------------------------------------------------- property names

// Names repeat from object to object, so the last one of each hash is remembered: comparing a few
// bytes is cheaper than making the string and finding it among the engine's property names.
const KEY_SLOTS = 1024
const SLOT_BYTES = 32
const slotBytes = new Uint8Array(KEY_SLOTS * SLOT_BYTES)
const slotKeys = new Array(KEY_SLOTS).fill('')

/** The string whose header is next, which has from 1 to 31 bytes. */
function readShortKey () {
  const { bytes, at } = input
  const end = at + 1 + (bytes[at] & 0x1f)
  take(end - at)
  let hash = 0
  for (let i = at; i < end; i++) hash = Math.imul(hash, 33) + bytes[i] | 0
  const slot = hash & KEY_SLOTS - 1
  const offset = slot * SLOT_BYTES - at
  for (let i = at; i < end; i++) {
    if (slotBytes[offset + i] !== bytes[i]) return rememberKey(slot, at, end)
  }
  return slotKeys[slot]
}

function rememberKey (slot, at, end) {
  input.at = at + 1
  const key = readString(end - at - 1)
  // Not remembered, so that a name that is remembered needs no look at Object.prototype.
  if (key in Object.prototype) {
    input.isInherited = true
    return key
  }
  for (let i = at; i < end; i++) slotBytes[slot * SLOT_BYTES + i - at] = input.bytes[i]
  slotKeys[slot] = key
  return key
}

module.exports = { readString, readShortKey, forgetText }
