'use strict'

// MessagePack bytes to JavaScript values, as docs/format.md describes them. The input is a buffer
// that its owner reuses, so nothing that is returned may point into it.

const { input, begin, finish, corrupt, take, enter, leave } = require('./decode-input')
const { readString, readShortKey, forgetText } = require('./decode-strings')
const { readBytes, readExtension } = require('./decode-extensions')
const { slotOf, learn, miss } = require('./shapes')

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
  begin(buffer, start, end, false)
  forgetText()
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
  begin(buffer, start, end, true)
  forgetText()
  const values = []
  while (input.at < end) values.push(read())
  finish()
  return values
}

/**
 * As `decodeMany`, for values that stand each after its length as a little-endian u32: a value
 * that is damaged cannot shift those behind it to the keys of others.
 *
 * @param {Buffer} buffer
 * @param {number} start
 * @param {number} end
 * @returns {unknown[]}
 * @throws ERR_CORRUPT
 */
function decodeFramed (buffer, start, end) {
  begin(buffer, start, end, true)
  forgetText()
  const values = []
  while (input.at < end) {
    const length = input.view.getUint32(take(4), true)
    const next = input.at + length
    values.push(read())
    if (input.at !== next) throw corrupt('it is not one value')
  }
  finish()
  return values
}

function read () {
  const token = input.bytes[take(1)]
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
    case 0xc7: return readExtension(uint8(), read)
    case 0xc8: return readExtension(uint16(), read)
    case 0xc9: return readExtension(uint32(), read)
    case 0xca: return input.view.getFloat32(take(4))
    case 0xcb: return input.view.getFloat64(take(8))
    case 0xcc: return uint8()
    case 0xcd: return uint16()
    case 0xce: return uint32()
    case 0xcf: return input.view.getBigUint64(take(8))
    case 0xd0: return input.view.getInt8(take(1))
    case 0xd1: return input.view.getInt16(take(2))
    case 0xd2: return input.view.getInt32(take(4))
    case 0xd3: return input.view.getBigInt64(take(8))
    case 0xd4: return readExtension(1, read)
    case 0xd5: return readExtension(2, read)
    case 0xd6: return readExtension(4, read)
    case 0xd7: return readExtension(8, read)
    case 0xd8: return readExtension(16, read)
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

const uint8 = () => input.bytes[take(1)]
const uint16 = () => input.view.getUint16(take(2))
const uint32 = () => input.view.getUint32(take(4))

// ---------------------------------------------------------------- containers

function readArray (length) {
  enter(length)
  const startsWithFloat = length > 0 && input.bytes[input.at] === 0xcb
  const array = startsWithFloat ? readFloats(length) : readElements(new Array(length), 0)
  leave()
  return array
}

function readElements (array, from) {
  for (let i = from; i < array.length; i++) array[i] = read()
  return array
}

// Vectors are long. The engine remembers what the arrays of this `new Array` are filled with, so
// that floats stand in them unboxed; if other values got into them, all that follow were boxed.
function readFloats (length) {
  const { bytes, view, limit } = input
  const floats = new Array(length)
  let at = input.at
  let i = 0
  for (; i < length && at + 9 <= limit && bytes[at] === 0xcb; i++, at += 9) {
    floats[i] = view.getFloat64(at + 1)
  }
  input.at = at
  return i === length ? floats : readElements(floats.slice(), i)
}

function readObject (size) {
  enter(size)
  const slot = slotOf(size)
  let object
  if (slot === null) {
    object = readProperties({}, size)
  } else if (slot.read === null) {
    object = readProperties({}, size)
    learn(slot, size, object, read, readRest)
  } else {
    object = input.isMany ? slot.read(size) : slot.readOne(size)
  }
  leave()
  return object
}

/** The object of which a reader of `names` had read the first values when a name differed. */
function readRest (slot, names, values, size) {
  const object = {}
  for (let i = 0; i < values.length; i++) {
    if (names[i] in Object.prototype) defineProperty(object, names[i], values[i])
    else object[names[i]] = values[i]
  }
  miss(slot)
  return readProperties(object, size - values.length)
}

function readProperties (object, count) {
  for (let i = 0; i < count; i++) {
    const key = readKey()
    if (input.isInherited) {
      input.isInherited = false
      defineProperty(object, key, read())
    } else {
      object[key] = read()
    }
  }
  return object
}

// An assignment would fail or be lost where Object.prototype is frozen or has a setter of the name.

function defineProperty (object, key, value) {
  const writable = true
  Object.defineProperty(object, key, { value, writable, enumerable: true, configurable: true })
}

function readKey () {
  const token = input.bytes[input.at]
  if (token > 0xa0 && token < 0xc0) return readShortKey()
  const key = read()
  if (typeof key !== 'string') throw corrupt('a property name is not a string')
  input.isInherited = key in Object.prototype
  return key
}

module.exports = { decode, decodeMany, decodeFramed }
