'use strict'

// JavaScript values to MessagePack bytes, as docs/format.md describes them.

const { isTypedArray, isArrayBuffer, isDate, isMap, isPromise, isSet } =
  require('node:util').types
const { Refusal, invalid, tooDeep, propertyStep } = require('./refusal')
const {
  begin, written, end, writeByte, writeNumber, writeBigInt, writeTimestamp, writeString, writeBytes,
  writeExtension, writeArrayHeader, writeObjectHeader, beginNested, endNested
} = require('./writer')
const {
  MAX_VALUE_DEPTH, UNDEFINED, MAP, SET, BUFFER, BINARY, INVALID_DATE, BINARY_KINDS
} = require('./format')

// An extension of one byte has a form without a length, which every decoder knows.
const ONE_ZERO = new Uint8Array(1)

let depth = 0

/**
 * The bytes of a value, in a buffer that the next call overwrites.
 *
 * @param {unknown} value
 * @param {string} [key] whose value it is, for the message where there are several
 * @returns {Buffer}
 * @throws ERR_INVALID_VALUE, ERR_VALUE_TOO_DEEP, ERR_VALUE_TOO_LARGE, each with the path inside
 *   the value
 */
function encode (value, key) {
  if (value === undefined) {
    throw invalid('is undefined, which cannot be stored: use delete() to remove a key').toError(key)
  }
  const outer = begin()
  const outerDepth = depth
  depth = 0
  try {
    write(value)
    return written()
  } catch (error) {
    throw error instanceof Refusal ? error.toError(key) : error
  } finally {
    depth = outerDepth
    end(outer)
  }
}

// ---------------------------------------------------------------- any value

function write (value) {
  switch (typeof value) {
    case 'string': return writeString(value)
    case 'number': return writeNumber(value)
    case 'boolean': return writeByte(value ? 0xc3 : 0xc2)
    case 'object': return value === null ? writeByte(0xc0) : writeContainer(value)
    case 'undefined': return writeExtension(UNDEFINED, ONE_ZERO)
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
    if (isArrayBuffer(value)) return writeBinary('ArrayBuffer', bytesOf(value))
    if (ArrayBuffer.isView(value)) return writeBinary('DataView', bytesOf(value))
  }
  if (levels === 3 && isTypedArray(value)) return writeTypedArray(value)
  if (prototype === Buffer.prototype && isTypedArray(value)) {
    return writeExtension(BUFFER, bytesOf(value))
  }
  if (isPromise(value)) throw invalid('is a Promise: await it first, for a write is synchronous')
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

function writeDate (date) {
  const time = Date.prototype.getTime.call(date)
  if (Number.isNaN(time)) writeExtension(INVALID_DATE, ONE_ZERO)
  else writeTimestamp(time)
}

// ---------------------------------------------------------------- bytes

// Asked of the engine, because a value may have properties of its own by these names.
const TypedArray = Object.getPrototypeOf(Uint8Array)
const typedArrayKind = getterOf(TypedArray, Symbol.toStringTag)
const viewTypedArray = viewerOf(TypedArray)
const viewDataView = viewerOf(DataView)

function getterOf (Class, name) {
  const { get } = Object.getOwnPropertyDescriptor(Class.prototype, name)
  return (value) => get.call(value)
}

function viewerOf (Class) {
  const [buffer, offset, length] = ['buffer', 'byteOffset', 'byteLength']
    .map((name) => getterOf(Class, name))
  return (view) => new Uint8Array(buffer(view), offset(view), length(view))
}

/** A view of the bytes of binary data whose length stays the same, also over a growing buffer. */
function bytesOf (binary) {
  try {
    if (isTypedArray(binary)) return viewTypedArray(binary)
    return isArrayBuffer(binary) ? new Uint8Array(binary) : viewDataView(binary)
  } catch {
    throw invalid('has no bytes: its buffer was transferred elsewhere (detached) or has shrunk')
  }
}

function writeTypedArray (array) {
  const kind = typedArrayKind(array)
  if (kind === 'Uint8Array') writeBytes(bytesOf(array))
  else writeBinary(kind, bytesOf(array))
}

// Every platform that this package is built for is little-endian, as the format is.
function writeBinary (kind, bytes) {
  const code = BINARY_KINDS.indexOf(kind)
  if (code < 0) throw invalid(`is a ${kind}, which cannot be stored`)
  writeExtension(BINARY, bytes, code)
}

// ---------------------------------------------------------------- containers

function enter () {
  if (depth === MAX_VALUE_DEPTH) throw tooDeep()
  depth++
}

function writeArray (array) {
  const { length } = array
  // A proxy may say anything.
  if (length >>> 0 !== length) throw invalid('has a length that is not a whole number')
  enter()
  writeArrayHeader(length)
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
  enter()
  refuseSymbols(object)
  writeObjectHeader(keys.length)
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

function writeNested (type, container, elements, step) {
  enter()
  const at = beginNested()
  writeArrayHeader(elements.length)
  let i = 0
  try {
    for (; i < elements.length; i++) write(elements[i])
  } catch (error) {
    throw trace(error, container, () => step(i))
  }
  endNested(at, type)
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
