'use strict'

// JavaScript values to MessagePack bytes, as docs/format.md describes them.

const { isTypedArray, isAnyArrayBuffer, isSharedArrayBuffer, isDate, isMap, isSet } =
  require('node:util').types
const { Refusal, invalid, tooDeep, tooLarge, propertyStep } = require('./refusal')
const {
  MAX_VALUE_DEPTH, MAX_VALUE_BYTES, KEPT_BUFFER_BYTES, UNDEFINED, MAP, SET, BIGINT, BUFFER,
  BINARY, UTF16, INVALID_DATE, TIMESTAMP, BINARY_KINDS
} = require('./format')

const FIRST_BUFFER_BYTES = 8 * 1024
// Room may be asked for generously (three bytes a character), so the exact size is judged at the
// end and the buffer may grow a little past the limit.
const SLACK_BYTES = 1024 * 1024
const LONG_STRING_CHARACTERS = 64 * 1024

let out = null
let view = null
let pos = 0
let depth = 0
let busy = false

/**
 * The bytes of a value, in a buffer that the next call overwrites.
 *
 * @param {unknown} value
 * @returns {Buffer}
 * @throws ERR_INVALID_VALUE, ERR_VALUE_TOO_DEEP, ERR_VALUE_TOO_LARGE, each with the path inside
 *   the value
 */
function encode (value) {
  if (value === undefined) {
    throw invalid('is undefined, which cannot be stored: use delete() to remove a key').toError()
  }
  // A getter inside the value may itself store something.
  const outer = busy ? { out, view, pos, depth } : null
  if (outer !== null || out === null) allocate(FIRST_BUFFER_BYTES)
  busy = true
  pos = depth = 0
  try {
    write(value)
    if (pos > MAX_VALUE_BYTES) throw tooLarge()
    return out.subarray(0, pos)
  } catch (error) {
    throw error instanceof Refusal ? error.toError() : error
  } finally {
    busy = outer !== null
    if (outer !== null) ({ out, view, pos, depth } = outer)
    else if (out.length > KEPT_BUFFER_BYTES) out = view = null
  }
}

function allocate (bytes) {
  out = Buffer.allocUnsafeSlow(bytes)
  view = new DataView(out.buffer)
}

function reserve (bytes) {
  if (pos + bytes > out.length) grow(bytes)
}

/** For what may be large, so that the path of what does not fit is known. */
function reserveExactly (bytes) {
  if (bytes > MAX_VALUE_BYTES - pos) throw tooLarge()
  reserve(bytes)
}

function grow (bytes) {
  const needed = pos + bytes
  if (needed > MAX_VALUE_BYTES + SLACK_BYTES) throw tooLarge()
  const old = out
  allocate(Math.max(needed, Math.min(old.length * 2, MAX_VALUE_BYTES + SLACK_BYTES)))
  old.copy(out, 0, 0, pos)
}

// ---------------------------------------------------------------- any value

function write (value) {
  switch (typeof value) {
    case 'string': return writeString(value)
    case 'number': return writeNumber(value)
    case 'boolean': return writeByte(value ? 0xc3 : 0xc2)
    case 'object': return value === null ? writeByte(0xc0) : writeContainer(value)
    case 'undefined': return writeExtension(UNDEFINED, 1, 0)
    case 'bigint': return writeBigInt(value)
    default: throw invalid(`is a ${typeof value}, which cannot be stored`)
  }
}

function writeContainer (value) {
  const prototype = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return writeObject(value)
  if (prototype === Array.prototype && Array.isArray(value)) return writeArray(value)
  return writeSpecial(value, prototype)
}

// Prototypes are counted rather than compared, because a value may come from another realm (a vm
// context, jest), where Map.prototype is another object. One more level is a user's class.
function writeSpecial (value, prototype) {
  const levels = prototypeLevels(prototype)
  if (levels === 1 && Object.hasOwn(prototype, 'isPrototypeOf')) return writeObject(value)
  if (levels === 2) {
    if (Array.isArray(value) && Array.isArray(prototype)) return writeArray(value)
    if (isDate(value)) return writeDate(value)
    if (isMap(value)) return writeMap(value)
    if (isSet(value)) return writeSet(value)
    if (isAnyArrayBuffer(value) && !isSharedArrayBuffer(value)) {
      return writeBinary('ArrayBuffer', new Uint8Array(value))
    }
    if (ArrayBuffer.isView(value)) return writeView('DataView', value)
  }
  if (levels === 3 && isTypedArray(value)) return writeTypedArray(value)
  if (prototype === Buffer.prototype && isTypedArray(value)) {
    writeExtension(BUFFER, value.length)
    return writeRaw(value)
  }
  throw invalid(`is ${describe(value)}, which would lose its class: store a plain object instead`)
}

function prototypeLevels (prototype) {
  let levels = 0
  for (; prototype !== null && levels < 4; levels++) prototype = Object.getPrototypeOf(prototype)
  return levels
}

function describe (value) {
  const name = value.constructor?.name
  if (name === 'Object') return 'an object with a prototype of its own'
  return typeof name === 'string' && name !== '' ? `an instance of ${name}` : 'a class instance'
}

// ---------------------------------------------------------------- scalars

function writeByte (byte) {
  reserve(1)
  out[pos++] = byte
}

function writeNumber (number) {
  reserve(9)
  if (number >>> 0 === number) {
    if (number === 0 && Object.is(number, -0)) return writeFloat(number)
    if (number < 0x80) {
      out[pos++] = number
    } else if (number < 0x100) {
      out[pos++] = 0xcc
      out[pos++] = number
    } else if (number < 0x10000) {
      writeUint16(0xcd, number)
    } else {
      writeUint32(0xce, number)
    }
  } else if (number >> 0 === number) {
    writeNegative(number)
  } else {
    writeFloat(number)
  }
}

function writeNegative (number) {
  if (number >= -0x20) {
    out[pos++] = number
  } else if (number >= -0x80) {
    out[pos++] = 0xd0
    out[pos++] = number
  } else if (number >= -0x8000) {
    writeUint16(0xd1, number)
  } else {
    writeUint32(0xd2, number)
  }
}

function writeFloat (number) {
  out[pos] = 0xcb
  view.setFloat64(pos + 1, number)
  pos += 9
}

function writeUint16 (token, number) {
  out[pos] = token
  out[pos + 1] = number >> 8
  out[pos + 2] = number
  pos += 3
}

function writeUint32 (token, number) {
  out[pos] = token
  view.setUint32(pos + 1, number)
  pos += 5
}

function writeBigInt (bigint) {
  reserve(9)
  if (BigInt.asIntN(64, bigint) === bigint) {
    out[pos] = 0xd3
    view.setBigInt64(pos + 1, bigint)
    pos += 9
  } else if (BigInt.asUintN(64, bigint) === bigint) {
    out[pos] = 0xcf
    view.setBigUint64(pos + 1, bigint)
    pos += 9
  } else {
    const bytes = twosComplement(bigint)
    writeExtension(BIGINT, bytes.length)
    writeRaw(bytes)
  }
}

/** Big-endian, in as few bytes as keep the sign. */
function twosComplement (bigint) {
  let hex = (bigint < 0n ? ~bigint : bigint).toString(16)
  if (hex.length % 2 === 1) hex = '0' + hex
  else if (hex.charCodeAt(0) >= 0x38) hex = '00' + hex // the first bit is the sign
  const bytes = Buffer.from(hex, 'hex')
  if (bigint < 0n) for (let i = 0; i < bytes.length; i++) bytes[i] = ~bytes[i]
  return bytes
}

function writeDate (date) {
  const time = Date.prototype.getTime.call(date)
  if (Number.isNaN(time)) return writeExtension(INVALID_DATE, 1, 0)
  const seconds = Math.floor(time / 1000)
  const nanoseconds = (time - seconds * 1000) * 1e6
  if (nanoseconds === 0 && seconds >= 0 && seconds < 2 ** 32) {
    writeExtension(TIMESTAMP, 4)
    view.setUint32(pos, seconds)
    pos += 4
  } else if (seconds >= 0 && seconds < 2 ** 34) {
    writeExtension(TIMESTAMP, 8)
    view.setUint32(pos, nanoseconds * 4 + Math.floor(seconds / 2 ** 32))
    view.setUint32(pos + 4, seconds % 2 ** 32)
    pos += 8
  } else {
    writeExtension(TIMESTAMP, 12)
    view.setUint32(pos, nanoseconds)
    view.setBigInt64(pos + 4, BigInt(seconds))
    pos += 12
  }
}

// ---------------------------------------------------------------- strings

function writeString (string) {
  const length = string.length
  if (length < 32) {
    reserve(1 + length)
    let i = 0
    for (; i < length; i++) {
      const unit = string.charCodeAt(i)
      if (unit >= 0x80) break
      out[pos + 1 + i] = unit
    }
    if (i === length) {
      out[pos] = 0xa0 | length
      pos += 1 + length
      return
    }
  }
  writeLongString(string)
}

function writeLongString (string) {
  if (!string.isWellFormed()) return writeIllFormed(string)
  const isLong = string.length > LONG_STRING_CHARACTERS
  const most = isLong ? Buffer.byteLength(string, 'utf8') : string.length * 3
  if (isLong) reserveExactly(5 + most)
  else reserve(5 + most)
  // The header's size depends on the number of bytes, which is the number of characters more
  // often than not.
  const guess = stringHeaderBytes(string.length)
  const bytes = out.write(string, pos + guess, most, 'utf8')
  const header = stringHeaderBytes(bytes)
  if (header !== guess) out.copyWithin(pos + header, pos + guess, pos + guess + bytes)
  if (header === 1) out[pos++] = 0xa0 | bytes
  else writeLength(0xd9, bytes)
  pos += bytes
}

const stringHeaderBytes = (bytes) => bytes < 32 ? 1 : bytes < 0x100 ? 2 : bytes < 0x10000 ? 3 : 5

// UTF-8 has no form for half a surrogate pair (text cut inside an emoji).
function writeIllFormed (string) {
  const bytes = string.length * 2
  writeExtension(UTF16, bytes)
  reserveExactly(bytes)
  out.write(string, pos, bytes, 'utf16le')
  pos += bytes
}

// ---------------------------------------------------------------- bytes

/** `token` is that of the 8-bit length; those of 16 and 32 bits follow it. */
function writeLength (token, length) {
  if (length < 0x100) {
    out[pos++] = token
    out[pos++] = length
  } else if (length < 0x10000) {
    writeUint16(token + 1, length)
  } else {
    writeUint32(token + 2, length)
  }
}

function writeRaw (bytes) {
  reserveExactly(bytes.length)
  out.set(bytes, pos)
  pos += bytes.length
}

/** The header of an extension of `length` bytes, and its first byte if there is one to write. */
function writeExtension (type, length, firstByte) {
  reserve(24)
  const fixed = FIXED_EXTENSIONS[length]
  if (fixed !== undefined) out[pos++] = fixed
  else writeLength(0xc7, length)
  out[pos++] = type
  if (firstByte !== undefined) out[pos++] = firstByte
}

const FIXED_EXTENSIONS = { 1: 0xd4, 2: 0xd5, 4: 0xd6, 8: 0xd7, 16: 0xd8 }

function writeTypedArray (array) {
  const kind = array[Symbol.toStringTag]
  if (kind !== 'Uint8Array') return writeView(kind, array)
  reserve(5)
  writeLength(0xc4, array.length)
  writeRaw(array)
}

function writeView (kind, view) {
  writeBinary(kind, new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
}

// Every platform that this package is built for is little-endian, as the format is.
function writeBinary (kind, bytes) {
  const code = BINARY_KINDS.indexOf(kind)
  if (code < 0) throw invalid(`is a ${kind}, which cannot be stored`)
  writeExtension(BINARY, 1 + bytes.length, code)
  writeRaw(bytes)
}

// ---------------------------------------------------------------- containers

function enter (elements) {
  if (depth === MAX_VALUE_DEPTH) throw tooDeep()
  depth++
  if (elements > MAX_VALUE_BYTES - pos) throw tooLarge() // each has at least one byte
  reserve(16)
}

function writeHeader (fixed, token, length) {
  if (length < 16) out[pos++] = fixed | length
  else if (length < 0x10000) writeUint16(token, length)
  else writeUint32(token + 1, length)
}

function writeArray (array) {
  const length = array.length
  enter(length)
  writeHeader(0x90, 0xdc, length)
  let i = 0
  try {
    for (; i < length; i++) write(array[i])
  } catch (error) {
    throw trace(error, array, () => `[${i}]`)
  }
  depth--
}

function writeObject (object) {
  const keys = Object.keys(object)
  enter(keys.length)
  refuseSymbols(object)
  writeHeader(0x80, 0xde, keys.length)
  let i = 0
  try {
    for (; i < keys.length; i++) {
      writeString(keys[i])
      write(object[keys[i]])
    }
  } catch (error) {
    throw trace(error, object, () => propertyStep(keys[i]))
  }
  depth--
}

function refuseSymbols (object) {
  const symbols = Object.getOwnPropertySymbols(object)
  if (symbols.length === 0) return
  const isEnumerable = (symbol) => Object.prototype.propertyIsEnumerable.call(object, symbol)
  const symbol = symbols.find(isEnumerable)
  if (symbol !== undefined) {
    throw invalid(`has a property named by ${String(symbol)}, which cannot be stored`)
  }
}

// The length of a nested value is known only afterwards, so these always have a 32-bit length.
function writeNested (type, container, elements, step) {
  enter(elements.length)
  const header = pos
  pos += 6
  writeHeader(0x90, 0xdc, elements.length)
  let i = 0
  try {
    for (; i < elements.length; i++) write(elements[i])
  } catch (error) {
    throw trace(error, container, () => step(i))
  }
  out[header] = 0xc9
  view.setUint32(header + 1, pos - header - 6)
  out[header + 5] = type
  depth--
}

function writeMap (map) {
  const elements = []
  Map.prototype.forEach.call(map, (value, key) => elements.push(key, value))
  writeNested(MAP, map, elements, (i) => {
    if (i % 2 === 0) return `.keys()[${i / 2}]`
    const key = elements[i - 1]
    return typeof key === 'string' ? `.get(${JSON.stringify(key)})` : `.values()[${(i - 1) / 2}]`
  })
}

function writeSet (set) {
  const elements = []
  Set.prototype.forEach.call(set, (element) => elements.push(element))
  writeNested(SET, set, elements, (i) => `.values()[${i}]`)
}

// Called only where something is refused, so that the path costs nothing otherwise.
const trace = (error, container, step) =>
  error instanceof Refusal ? error.within(container, step()) : error

module.exports = { encode }
