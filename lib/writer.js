'use strict'

// MessagePack tokens, written one after another into a buffer that is used again and again.

const { tooLarge } = require('./refusal')
const { MAX_VALUE_BYTES, KEPT_BUFFER_BYTES, BIGINT, UTF16, TIMESTAMP } = require('./format')

const FIRST_BUFFER_BYTES = 8 * 1024
// Room is asked for generously (three bytes a character), so the exact size is judged at the end
// and the buffer may grow a little past the limit.
const SLACK_BYTES = 1024 * 1024
const LONG_STRING_CHARACTERS = 64 * 1024

let out = null
let view = null
let pos = 0
let busy = false
// For a value that is begun inside another. A terminated execution (the timeout of node:vm) never
// ends its value, and then this serves all that follow.
let spare = null

/** Begins a value. What it returns belongs to `end`. */
function begin () {
  // A getter inside the value may itself store something.
  const outer = busy ? { out, view, pos } : null
  if (outer !== null && spare !== null) {
    use(spare)
    spare = null
  } else if (outer !== null || out === null) {
    use(Buffer.allocUnsafeSlow(FIRST_BUFFER_BYTES))
  }
  busy = true
  pos = 0
  return outer
}

/** What was written since `begin`; it is overwritten after the next one. */
function written () {
  if (pos > MAX_VALUE_BYTES) throw tooLarge()
  return out.subarray(0, pos)
}

/** Ends a value, also one that failed. */
function end (outer) {
  const isKept = out.length <= KEPT_BUFFER_BYTES
  busy = outer !== null
  if (busy) {
    if (isKept) spare = out
    ;({ out, view, pos } = outer)
  } else if (!isKept) {
    out = view = null
  }
}

function use (buffer) {
  out = buffer
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
  const larger = Math.max(needed, Math.min(old.length * 2, MAX_VALUE_BYTES + SLACK_BYTES))
  use(Buffer.allocUnsafeSlow(larger))
  old.copy(out, 0, 0, pos)
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
    writeExtension(BIGINT, twosComplement(bigint))
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

/** A standard timestamp in its shortest form. `time` is in milliseconds since 1970. */
function writeTimestamp (time) {
  const seconds = Math.floor(time / 1000)
  const nanoseconds = (time - seconds * 1000) * 1e6
  if (nanoseconds === 0 && seconds >= 0 && seconds < 2 ** 32) {
    writeExtensionHeader(TIMESTAMP, 4)
    view.setUint32(pos, seconds)
    pos += 4
  } else if (seconds >= 0 && seconds < 2 ** 34) {
    writeExtensionHeader(TIMESTAMP, 8)
    view.setUint32(pos, nanoseconds * 4 + Math.floor(seconds / 2 ** 32))
    view.setUint32(pos + 4, seconds % 2 ** 32)
    pos += 8
  } else {
    writeExtensionHeader(TIMESTAMP, 12)
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
  writeExtensionHeader(UTF16, bytes)
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

/** Standard binary data. */
function writeBytes (bytes) {
  reserve(5)
  writeLength(0xc4, bytes.length)
  writeRaw(bytes)
}

function writeRaw (bytes) {
  reserveExactly(bytes.length)
  out.set(bytes, pos)
  pos += bytes.length
}

/** An extension of `bytes`, after `firstByte` if there is one. */
function writeExtension (type, bytes, firstByte) {
  writeExtensionHeader(type, bytes.length + (firstByte === undefined ? 0 : 1))
  if (firstByte !== undefined) writeByte(firstByte)
  writeRaw(bytes)
}

/** Reserves room for the longest timestamp as well. */
function writeExtensionHeader (type, length) {
  reserve(6 + 12)
  const fixed = FIXED_EXTENSIONS[length]
  if (fixed !== undefined) out[pos++] = fixed
  else writeLength(0xc7, length)
  out[pos++] = type
}

const FIXED_EXTENSIONS = { 1: 0xd4, 2: 0xd5, 4: 0xd6, 8: 0xd7, 16: 0xd8 }

// ---------------------------------------------------------------- containers

/** `fixed` is the form for fewer than 16 elements, `token` that with a 16-bit length. */
function writeHeader (fixed, token, length) {
  if (length > MAX_VALUE_BYTES - pos) throw tooLarge() // each element has at least one byte
  reserve(5)
  if (length < 16) out[pos++] = fixed | length
  else if (length < 0x10000) writeUint16(token, length)
  else writeUint32(token + 1, length)
}

const writeArrayHeader = (length) => writeHeader(0x90, 0xdc, length)

const writeObjectHeader = (size) => writeHeader(0x80, 0xde, size)

// The length of what is nested is known only afterwards, so it always has 32 bits.
const NESTED_HEADER_BYTES = 6

/** Begins an extension that holds values; returns where, for `endNested`. */
function beginNested () {
  reserve(NESTED_HEADER_BYTES)
  const at = pos
  pos += NESTED_HEADER_BYTES
  return at
}

function endNested (at, type) {
  out[at] = 0xc9
  view.setUint32(at + 1, pos - at - NESTED_HEADER_BYTES)
  out[at + 5] = type
}

module.exports = {
  begin,
  written,
  end,
  writeByte,
  writeNumber,
  writeBigInt,
  writeTimestamp,
  writeString,
  writeBytes,
  writeExtension,
  writeArrayHeader,
  writeObjectHeader,
  beginNested,
  endNested
}
