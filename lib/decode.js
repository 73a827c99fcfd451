'use strict'

// MessagePack bytes to JavaScript values, as docs/format.md describes them. The input is a buffer
// that its owner reuses, so nothing that is returned may point into it.

const { isUtf8 } = require('node:buffer')
const { DataStoreError } = require('./errors')
const {
  MAX_VALUE_DEPTH, KEPT_BUFFER_BYTES, UNDEFINED, MAP, SET, BIGINT, BUFFER, BINARY, UTF16,
  INVALID_DATE, TIMESTAMP, BINARY_KINDS
} = require('./format')

let src = null
let view = null
let pos = 0
let limit = 0
let depth = 0

/**
 * The value that fills `buffer` from `start` to `end`.
 *
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} end
 * @returns {unknown}
 * @throws ERR_CORRUPT
 */
function decode (buffer, start = 0, end = buffer.length) {
  begin(buffer, start, end)
  const value = read()
  finish()
  return value
}

/**
 * The values that stand one after another in `buffer` from `start` to `end`.
 *
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} end
 * @returns {unknown[]}
 * @throws ERR_CORRUPT
 */
function decodeMany (buffer, start = 0, end = buffer.length) {
  begin(buffer, start, end)
  const values = []
  while (pos < end) values.push(read())
  finish()
  return values
}

function begin (buffer, start, end) {
  if (src !== buffer) {
    src = buffer
    view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  }
  pos = start
  limit = end
  depth = 0
  textEnd = 0
}

function finish () {
  if (pos !== limit) throw corrupt(`${limit - pos} bytes follow its value`)
  text = ''
  if (src.length > KEPT_BUFFER_BYTES) src = view = null
}

const corrupt = (what) => new DataStoreError('ERR_CORRUPT', `the store is damaged: a record ` +
  `holds bytes that are not a value (${what}). Do not write to it; copy the directory, then ` +
  'restore a backup')

/** The position of the next `length` bytes, which are then behind us. */
function take (length) {
  const at = pos
  pos += length
  if (pos > limit) throw corrupt('it is cut short')
  return at
}

function read () {
  const token = src[take(1)]
  if (token < 0x80) return token
  if (token < 0x90) return readObject(token & 0x0f)
  if (token < 0xa0) return readArray(token & 0x0f)
  if (token < 0xc0) return readString(token & 0x1f)
  if (token >= 0xe0) return token - 0x100
  switch (token) {
    case 0xc0: return null
    case 0xc2: return false
    case 0xc3: return true
    case 0xc4: return readBytes(uint8())
    case 0xc5: return readBytes(uint16())
    case 0xc6: return readBytes(uint32())
    case 0xc7: return readExtension(uint8())
    case 0xc8: return readExtension(uint16())
    case 0xc9: return readExtension(uint32())
    case 0xca: return view.getFloat32(take(4))
    case 0xcb: return view.getFloat64(take(8))
    case 0xcc: return uint8()
    case 0xcd: return uint16()
    case 0xce: return uint32()
    case 0xcf: return view.getBigUint64(take(8))
    case 0xd0: return view.getInt8(take(1))
    case 0xd1: return view.getInt16(take(2))
    case 0xd2: return view.getInt32(take(4))
    case 0xd3: return view.getBigInt64(take(8))
    case 0xd4: return readExtension(1)
    case 0xd5: return readExtension(2)
    case 0xd6: return readExtension(4)
    case 0xd7: return readExtension(8)
    case 0xd8: return readExtension(16)
    case 0xd9: return readString(uint8())
    case 0xda: return readString(uint16())
    case 0xdb: return readString(uint32())
    case 0xdc: return readArray(uint16())
    case 0xdd: return readArray(uint32())
    case 0xde: return readObject(uint16())
    case 0xdf: return readObject(uint32())
    default: throw corrupt(`its type 0x${token.toString(16)} is unknown`)
  }
}

const uint8 = () => src[take(1)]
const uint16 = () => view.getUint16(take(2))
const uint32 = () => view.getUint32(take(4))

// ---------------------------------------------------------------- containers

function enter (elements) {
  // Each has at least one byte, so a damaged length cannot ask for more memory than there is data.
  if (elements > limit - pos) throw corrupt('it is cut short')
  if (++depth > MAX_VALUE_DEPTH) throw corrupt('it is nested too deeply')
}

function readArray (length) {
  enter(length)
  const array = new Array(length)
  for (let i = 0; i < length; i++) {
    // Vectors are long: a float that goes straight into the array is never boxed.
    if (src[pos] === 0xcb) array[i] = view.getFloat64(take(9) + 1)
    else array[i] = read()
  }
  depth--
  return array
}

function readObject (size) {
  enter(size)
  const object = {}
  for (let i = 0; i < size; i++) {
    const key = readKey()
    if (key === '__proto__') defineProperty(object, key, read())
    else object[key] = read()
  }
  depth--
  return object
}

function defineProperty (object, key, value) {
  const writable = true
  Object.defineProperty(object, key, { value, writable, enumerable: true, configurable: true })
}

// ---------------------------------------------------------------- strings

// Property names repeat from value to value, so the last one of each hash is remembered: comparing
// a few bytes is cheaper than making the string and finding it among the engine's property names.
const KEY_SLOTS = 1024
const keySlots = new Array(KEY_SLOTS).fill(null)

function readKey () {
  const token = src[pos]
  if (token < 0xa1 || token > 0xbf) return readOtherKey()
  const length = token & 0x1f
  const at = take(1 + length) + 1
  const hash = src[at] * 31 ^ src[pos - 1] * 7 ^ src[at + (length >> 1)] ^ length << 5
  const slot = keySlots[hash % KEY_SLOTS]
  if (slot !== null && slot.bytes.length === length) {
    const bytes = slot.bytes
    let i = 0
    while (i < length && bytes[i] === src[at + i]) i++
    if (i === length) return slot.key
  }
  const key = stringAt(at, length)
  keySlots[hash % KEY_SLOTS] = { bytes: copyOf(at, length), key }
  return key
}

function readOtherKey () {
  const key = read()
  if (typeof key !== 'string') throw corrupt('a property name is not a string')
  return key
}

const readString = (length) => stringAt(take(length), length)

// One call into the engine makes a window of text, of which short strings are then cut: a call for
// each costs more. A string may keep its window alive, which is why the window is small.
const WINDOW_BYTES = 1024
const SHORT_STRING_BYTES = 64
let text = ''
let textStart = 0
let textEnd = 0

function stringAt (at, length) {
  const end = at + length
  if (length > SHORT_STRING_BYTES) return utf8At(at, end)
  for (let i = at; i < end; i++) {
    if (src[i] >= 0x80) return utf8At(at, end)
  }
  if (end > textEnd) {
    textStart = at
    textEnd = Math.min(at + WINDOW_BYTES, limit)
    text = src.toString('latin1', textStart, textEnd)
  }
  return text.slice(at - textStart, end - textStart)
}

function utf8At (at, end) {
  const string = src.toString('utf8', at, end)
  if (string.includes('\ufffd') && !isUtf8(src.subarray(at, end))) {
    throw corrupt('a string is not UTF-8')
  }
  return string
}

// ---------------------------------------------------------------- bytes and extensions

// Buffer.prototype.slice would share memory with the reused input.
const copyOf = (at, length) => Uint8Array.prototype.slice.call(src, at, at + length)

const readBytes = (length) => plainBytes(take(length), length)

function plainBytes (at, length) {
  const bytes = new Uint8Array(length)
  bytes.set(src.subarray(at, at + length))
  return bytes
}

function readExtension (length) {
  const type = view.getInt8(take(1))
  const end = pos + length
  if (end > limit) throw corrupt('it is cut short')
  const value = extension(type, length)
  if (pos !== end) throw corrupt(`an extension of type ${type} has a wrong length`)
  return value
}

function extension (type, length) {
  switch (type) {
    case UNDEFINED: return void take(length)
    case MAP: return readMap()
    case SET: return readSet()
    case BIGINT: return readBigInt(take(length), length)
    case BUFFER: return Buffer.from(src.subarray(take(length), pos))
    case BINARY: return readBinary(uint8(), Math.max(length - 1, 0))
    case UTF16: return readUtf16(take(length), length)
    case INVALID_DATE: return new Date(take(length) * NaN)
    case TIMESTAMP: return readTimestamp(length)
    default: throw corrupt(`its extension type ${type} is unknown`)
  }
}

function readUtf16 (at, length) {
  if (length % 2 !== 0) throw corrupt('a string is cut short')
  return src.toString('utf16le', at, at + length)
}

function readMap () {
  const elements = readElements()
  if (elements.length % 2 !== 0) throw corrupt('a map has a key without a value')
  const map = new Map()
  for (let i = 0; i < elements.length; i += 2) map.set(elements[i], elements[i + 1])
  return map
}

const readSet = () => new Set(readElements())

function readElements () {
  const elements = read()
  if (!Array.isArray(elements)) throw corrupt('the elements of a map or set are not an array')
  return elements
}

function readBigInt (at, length) {
  if (length === 0) throw corrupt('a bigint has no bytes')
  const bigint = BigInt('0x' + src.toString('hex', at, at + length))
  return src[at] < 0x80 ? bigint : BigInt.asIntN(length * 8, bigint)
}

function readBinary (code, length) {
  const kind = BINARY_KINDS[code]
  if (kind === undefined) throw corrupt(`a typed array has the unknown code ${code}`)
  const buffer = plainBytes(take(length), length).buffer
  if (kind === 'ArrayBuffer') return buffer
  const Kind = globalThis[kind]
  if (Kind === undefined) {
    throw new DataStoreError('ERR_FORMAT_VERSION',
      `the value holds a ${kind}, which Node.js ${process.version} lacks: read it with a newer one`)
  }
  if (length % (Kind.BYTES_PER_ELEMENT ?? 1) !== 0) throw corrupt('a typed array is cut short')
  return new Kind(buffer)
}

function readTimestamp (length) {
  let seconds, nanoseconds
  if (length === 4) {
    seconds = uint32()
    nanoseconds = 0
  } else if (length === 8) {
    const high = uint32()
    seconds = (high & 3) * 2 ** 32 + uint32()
    nanoseconds = high >>> 2
  } else if (length === 12) {
    nanoseconds = uint32()
    seconds = Number(view.getBigInt64(take(8)))
  } else {
    throw corrupt('a date has a wrong length')
  }
  const date = new Date(seconds * 1000 + Math.floor(nanoseconds / 1e6))
  const isValid = nanoseconds < 1e9 && !Number.isNaN(date.getTime())
  if (!isValid) throw corrupt('a date is out of range')
  return date
}

module.exports = { decode, decodeMany }
