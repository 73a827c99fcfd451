'use strict'

// Bytes, and the extension types of docs/format.md.

const { DataStoreError } = require('./errors')
const { input, corrupt, take } = require('./decode-input')
const {
  UNDEFINED, MAP, SET, BIGINT, BUFFER, BINARY, UTF16, INVALID_DATE, TIMESTAMP, BINARY_KINDS
} = require('./format')

const readBytes = (length) => new Uint8Array(copyOf(take(length), length))

/** A copy of the bytes, made without filling it with zeros first. */
function copyOf (at, length) {
  const { buffer, byteOffset } = input.bytes
  return buffer.slice(byteOffset + at, byteOffset + at + length)
}

function readExtension (length, read) {
  const type = input.view.getInt8(take(1))
  const end = input.at + length
  if (end > input.limit) throw corrupt('it is cut short')
  const value = extension(type, length, read)
  if (input.at !== end) throw corrupt(`an extension of type ${type} has a wrong length`)
  return value
}

function extension (type, length, read) {
  switch (type) {
    case UNDEFINED:
      take(length)
      return undefined
    case MAP: return readMap(read)
    case SET: return new Set(readElements(read))
    case BIGINT: return readBigInt(take(length), length)
    case BUFFER: return Buffer.from(input.bytes.subarray(take(length), input.at))
    case BINARY: return readBinary(input.bytes[take(1)], Math.max(length - 1, 0))
    case UTF16: return readUtf16(take(length), length)
    case INVALID_DATE: return new Date(take(length) * NaN)
    case TIMESTAMP: return readTimestamp(length)
    default: throw corrupt(`its extension type ${type} is unknown`)
  }
}

function readUtf16 (at, length) {
  if (length % 2 !== 0) throw corrupt('a string is cut short')
  return input.bytes.toString('utf16le', at, at + length)
}

function readMap (read) {
  const elements = readElements(read)
  if (elements.length % 2 !== 0) throw corrupt('a map has a key without a value')
  const map = new Map()
  for (let i = 0; i < elements.length; i += 2) map.set(elements[i], elements[i + 1])
  return map
}

function readElements (read) {
  const elements = read()
  if (!Array.isArray(elements)) throw corrupt('the elements of a map or set are not an array')
  return elements
}

function readBigInt (at, length) {
  if (length === 0) throw corrupt('a bigint has no bytes')
  const bigint = BigInt('0x' + input.bytes.toString('hex', at, at + length))
  return input.bytes[at] < 0x80 ? bigint : BigInt.asIntN(length * 8, bigint)
}

function readBinary (code, length) {
  const kind = BINARY_KINDS[code]
  if (kind === undefined) throw corrupt(`a typed array has the unknown code ${code}`)
  const buffer = copyOf(take(length), length)
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
    seconds = input.view.getUint32(take(4))
    nanoseconds = 0
  } else if (length === 8) {
    const high = input.view.getUint32(take(4))
    seconds = (high & 3) * 2 ** 32 + input.view.getUint32(take(4))
    nanoseconds = high >>> 2
  } else if (length === 12) {
    nanoseconds = input.view.getUint32(take(4))
    seconds = Number(input.view.getBigInt64(take(8)))
  } else {
    throw corrupt('a date has a wrong length')
  }
  const date = new Date(seconds * 1000 + Math.floor(nanoseconds / 1e6))
  const isValid = nanoseconds < 1e9 && !Number.isNaN(date.getTime())
  if (!isValid) throw corrupt('a date is out of range')
  return date
}

module.exports = { readBytes, readExtension }
