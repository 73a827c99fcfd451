'use strict'

// Readers that are generated for objects of one shape (lib/shapes.js): whatever the bytes, they
// yield what the generic reading of objects yields.

const { describe, it, before } = require('node:test')
const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const path = require('node:path')
const { inspect } = require('node:util')
const { encode, decode } = require('../lib/codec')
const { generatedReaders } = require('../lib/shapes')

const decodeFile = path.join(__dirname, '../lib/decode.js')

/** A decoder of its own, which knows no shapes and may not generate any. */
function withoutGeneration () {
  const saved = new Map()
  for (const file of Object.keys(require.cache)) {
    if (/lib.(decode|shapes)[^/\\]*\.js$/.test(file)) saved.set(file, require.cache[file])
    if (saved.has(file)) delete require.cache[file]
  }
  const { Function } = globalThis
  try {
    globalThis.Function = class { constructor () { throw new EvalError('forbidden') } }
    const { decode } = require(decodeFile)
    for (const value of documents) warm(decode, value)
    return decode
  } finally {
    globalThis.Function = Function
    for (const [file, module] of saved) require.cache[file] = module
  }
}

const nested = (levels) => levels === 0 ? 1 : { a: nested(levels - 1), b: levels }

const documents = [
  { id: 'doc-1', title: 'Quarterly summary', at: 1732300000000, author: { name: 'a', role: 'b' } },
  { stage: 'review', timestamp: 0.5 },
  { a: 1, bc: -1, def: null, ghij: true, klmno: undefined, pqrstu: 1n, vwxyz12: [1, 2.5, 'x'] },
  { '': 1, x: { '': 2, x: { '': 3, x: 'end' } } },
  { 2: 'two', 1: 'one', name: 'integers come first' },
  { stra\u00dfe: 'gr\u00fc\u00dfe', '\u{1f600}': '\u{1f600}'.repeat(9), n: 1 },
  { map: new Map([[1, { n: 2 }]]), date: new Date(5) },
  [1, 2, 3].map((row) => ({ row, name: 'x'.repeat(row * 100), amount: row / 7, paid: row > 1 })),
  Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`property ${i}`, i])),
  Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`property ${i}`, i])),
  { ['n'.repeat(31)]: 1, ['m'.repeat(30)]: 2, ['o'.repeat(29)]: 3 },
  { ['n'.repeat(32)]: 1, long: 2 },
  JSON.parse('{"__proto__":{"admin":true},"proto":1}'),
  nested(6)
]

function warm (decode, value) {
  const bytes = encode(value)
  for (let i = 0; i < 200; i++) decode(bytes)
}

const show = (value) => inspect(value, { depth: 20, maxArrayLength: 200 })

function outcome (decode, bytes, end = bytes.length) {
  try {
    // Unlike deepEqual, inspect tells the order of properties.
    return show(decode(bytes, 0, end))
  } catch (error) {
    if (error.code !== 'ERR_CORRUPT' && error.code !== 'ERR_FORMAT_VERSION') throw error
    return error.code
  }
}

describe('an object of a shape that was seen often', () => {
  let generic
  before(() => {
    generic = withoutGeneration()
    for (const value of documents) warm(decode, value)
    assert.ok(generatedReaders() > 10, `${generatedReaders()} readers were generated`)
  })

  function same (bytes, end) {
    assert.equal(outcome(decode, bytes, end), outcome(generic, bytes, end), bytes.toString('hex'))
  }

  it('is what was stored', () => {
    for (const value of documents) {
      assert.deepStrictEqual(decode(encode(value)), value)
      assert.equal(outcome(decode, encode(value)), show(value))
    }
  })

  it('cut short anywhere is ERR_CORRUPT, also with more bytes behind it', () => {
    for (const value of documents) {
      const bytes = Buffer.from(encode(value))
      for (let end = 0; end < bytes.length; end++) {
        assert.throws(() => decode(bytes, 0, end), { code: 'ERR_CORRUPT' })
        assert.throws(() => decode(Buffer.from(bytes.subarray(0, end))), { code: 'ERR_CORRUPT' })
      }
    }
  })

  it('with any one byte changed is read as if the shape were unknown', () => {
    for (const value of documents) {
      const bytes = Buffer.from(encode(value))
      for (let i = 0; i < Math.min(bytes.length, 300); i++) {
        for (const bit of [1, 2, 4, 8, 16, 32, 64, 128]) {
          bytes[i] ^= bit
          same(bytes)
          bytes[i] ^= bit
        }
      }
    }
  })

  it('with several bytes changed is read as if the shape were unknown', () => {
    let state = Number(process.env.SEED ?? Date.now() % 2 ** 31) | 1
    console.log(`SEED=${state}`)
    const random = (below) => {
      state = Math.imul(state, 1664525) + 1013904223 | 0
      return (state >>> 8) % below
    }
    const encoded = documents.map((value) => Buffer.from(encode(value)))
    for (let round = 0; round < 20000; round++) {
      const bytes = Buffer.from(encoded[round % encoded.length])
      for (let i = random(4); i >= 0; i--) bytes[random(bytes.length)] = random(256)
      same(bytes)
    }
  })

  it('with other names, another order or a name twice is still right', () => {
    const hex = (text) => Buffer.from(text, 'hex')
    warm(decode, { aa: 1, bb: 2, cc: 3 })
    for (const value of [
      { aa: 1, cc: 2, bb: 3 }, { aa: 1, bb: 2, cd: 3 }, { aa: 1, bb: 2 }, { bb: 1, aa: 2, cc: 3 },
      { aa: { aa: 1, bb: { aa: 1, bb: 2, cd: 3 }, cc: 3 }, bb: 2, cc: 3 }
    ]) assert.deepStrictEqual(decode(encode(value)), value)
    assert.deepStrictEqual(decode(hex('83a2616101a2626202a2616103')), { aa: 3, bb: 2 })
    const own = decode(hex('83a2616101a2626202a95f5f70726f746f5f5f03'))
    assert.deepStrictEqual(own, JSON.parse('{"aa":1,"bb":2,"__proto__":3}'))
    // The same name with a longer header than needed.
    assert.deepStrictEqual(decode(hex('83a2616101d902626202a2636303')), { aa: 1, bb: 2, cc: 3 })
  })

  it('does not run setters of Object.prototype', () => {
    let calls = 0
    const setter = { get () {}, set () { calls++ }, configurable: true }
    const prototype = Object.prototype
    Object.defineProperty(prototype, 'stage', setter)
    try {
      const value = decode(encode(JSON.parse('{"stage":1,"timestamp":2}')))
      assert.ok(Object.hasOwn(value, 'stage'))
    } finally {
      delete prototype.stage
    }
    assert.equal(calls, 0)
  })

  it('deeper than 512 levels is refused', () => {
    const levels = (count) => Buffer.concat([
      ...new Array(count).fill(Buffer.from('81a161', 'hex')), Buffer.of(1)
    ])
    for (let i = 0; i < 200; i++) decode(levels(3))
    decode(levels(512))
    assert.throws(() => decode(levels(513)), { code: 'ERR_CORRUPT' })
    assert.deepStrictEqual(decode(levels(2)), { a: { a: 1 } })
  })
})

describe('shapes that come and go', () => {
  it('a shape is learned again after another one, also within itself', () => {
    const shape = (third, inner) => encode({ first: 1, second: inner, [third]: 3 })
    for (const third of ['third', 'other', 'third']) {
      const value = { first: 1, second: { first: 1, second: null, [third]: 3 }, [third]: 3 }
      for (let i = 0; i < 6000; i++) {
        const result = decode(shape(third, { first: 1, second: null, [third]: 3 }))
        if (i % 100 === 0) assert.deepStrictEqual(result, value)
      }
    }
  })

  it('objects that never repeat generate nothing', () => {
    const before = generatedReaders()
    for (let i = 0; i < 20000; i++) {
      const value = { [`key ${i}`]: i, [`other ${i * 7}`]: -i }
      assert.deepStrictEqual(decode(encode(value)), value)
    }
    assert.equal(generatedReaders(), before)
  })

  it('a bounded number of readers is generated, and objects are read without one', () => {
    for (let i = 0; i < 3000; i++) {
      const value = { [`name${i}`]: i, [`b${i}`]: { [`c${i}`]: 1 } }
      warm(decode, value)
      assert.deepStrictEqual(decode(encode(value)), value)
    }
    assert.ok(generatedReaders() <= 1024)
  })
})

describe('where code must not be generated', () => {
  it('all values are read', () => {
    const script = `
      const { encode, decode } = require('./lib/codec')
      const value = { id: 1, tags: ['a'], author: { name: 'x', role: 'y' } }
      for (let i = 0; i < 1000; i++) decode(encode(value))
      require('node:assert').deepStrictEqual(decode(encode(value)), value)
      console.log(require('./lib/shapes').generatedReaders())
    `
    const flag = '--disallow-code-generation-from-strings'
    const run = (...flags) => Number(execFileSync(process.execPath, [...flags, '-e', script],
      { cwd: path.join(__dirname, '..') }))
    assert.equal(run(), 2)
    assert.equal(run(flag), 0)
  })
})

describe('arrays of numbers', () => {
  it('that begin with floats and go on with anything', () => {
    const tails = [1, -1, 2 ** 31, 0.25, NaN, -0, 'x', null, undefined, [0.5], { a: 0.5 }, 5n]
    for (const tail of tails) {
      const value = [0.5, -1.5, tail, 0.125]
      assert.deepStrictEqual(decode(encode(value)), value)
      assert.deepStrictEqual(decode(encode([tail, ...value])), [tail, ...value])
    }
    const bytes = encode([0.5, 1.5])
    for (let end = 0; end < bytes.length; end++) {
      assert.throws(() => decode(bytes, 0, end), { code: 'ERR_CORRUPT' })
    }
  })
})

describe('strings', () => {
  it('that are not ASCII at any one position', () => {
    for (const length of [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 31, 32, 33, 63, 255, 256, 257]) {
      for (let i = 0; i < length; i++) {
        const text = 'a'.repeat(i) + '\u00e9' + 'b'.repeat(length - i - 1)
        assert.equal(decode(encode(text)), text)
        const bytes = Buffer.from(encode('a'.repeat(length)))
        bytes[bytes.length - length + i] = 0xff
        assert.throws(() => decode(bytes), { code: 'ERR_CORRUPT' })
      }
    }
  })

  it('that differ in one character, each time they are read', () => {
    for (let length = 1; length <= 16; length++) {
      const texts = ['a'.repeat(length)]
      for (let i = 0; i < length; i++) {
        for (const other of 'b\u0000\u007f') {
          texts.push('a'.repeat(i) + other + 'a'.repeat(length - i - 1))
        }
      }
      for (let round = 0; round < 3; round++) {
        assert.deepStrictEqual(decode(encode([texts, texts])), [texts, texts])
      }
    }
  })

  // So many that for each part some share their slot and differ in that part only.
  it('more short ones than are remembered', () => {
    const numbers = Array.from({ length: 5000 }, (_, i) => i.toString(36).padStart(4, '.'))
    const texts = numbers.flatMap((n) => [n, `${n}abcdefgh`, `abcd${n}efgh`, `abcdefgh${n}`])
    for (let i = 0; i < 10000; i++) {
      const two = String.fromCharCode(32 + i % 90, 32 + Math.floor(i / 90) % 90)
      for (let length = 2; length <= 12; length += 2) texts.push(two.repeat(length / 2))
    }
    for (let round = 0; round < 2; round++) assert.deepStrictEqual(decode(encode(texts)), texts)
  })
})

it('names of Object.prototype are properties, whatever was done to Object.prototype', () => {
  const script = `
    const { encode, decode } = require(${JSON.stringify(path.join(__dirname, '../lib/codec'))})
    const assert = require('node:assert/strict')
    const value = { toString: 1, constructor: [2], evil: 'own', z: 3, ['valueOf'.repeat(9)]: 4 }
    const bytes = Buffer.from(encode([value, { a: 1, valueOf: 2 }]))
    const set = () => assert.fail('a setter was called')
    Reflect.defineProperty(Object.prototype, 'evil', { configurable: true, set })
    Object.freeze(Object.prototype)
    for (let i = 0; i < 100; i++) {
      const [read, other] = decode(bytes)
      assert.deepEqual(Object.entries(read), Object.entries(value))
      assert.deepEqual(Object.entries(other), [['a', 1], ['valueOf', 2]])
    }`
  execFileSync(process.execPath, ['-e', script])
})
