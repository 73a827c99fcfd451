'use strict'

// What may be stored and what comes back, without a store: the codec alone.

const { describe, it } = require('node:test')
const assert = require('node:assert/strict')
const vm = require('node:vm')
const { encode, decode, decodeMany } = require('../lib/codec')
const { DataStoreError } = require('../lib/errors')
const { values, malformed } = require('./fixtures/values.json')

const evaluate = (source) => vm.runInThisContext(`(${source})`)

/** As the store does it: somewhere inside a larger buffer, which is then overwritten. */
function roundTrip (value) {
  const bytes = encode(value)
  const buffer = Buffer.alloc(bytes.length + 7, 0xc1)
  bytes.copy(buffer, 3)
  const result = decode(buffer, 3, 3 + bytes.length)
  buffer.fill(0xc1)
  encode('x'.repeat(bytes.length))
  return result
}

const nested = (levels, wrap) => {
  let value = 1
  for (let i = 0; i < levels; i++) value = wrap(value)
  return value
}

function refused (value, code, path, base = TypeError) {
  assert.throws(() => encode(value), (error) => {
    assert.equal(error.code, code)
    assert.ok(error instanceof base && error instanceof DataStoreError)
    assert.ok(error.message.startsWith(`${path} `), error.message)
    return true
  })
}

describe('a value comes back as it was', () => {
  for (const { name, js, hex } of values) {
    it(`${name}: ${js}`, () => {
      const value = evaluate(js)
      assert.equal(encode(value).toString('hex'), hex)
      const result = roundTrip(value)
      // deepStrictEqual of Node 20 holds no two invalid dates equal.
      if (name === 'invalid date') assert.ok(result instanceof Date && Number.isNaN(+result))
      else assert.deepStrictEqual(result, value)
    })
  }

  it('strings at every length around a change of header', () => {
    for (const unit of ['x', '\u00e9', '\u20ac', '\ud83d\ude00', '\ud83d', '\ufffd']) {
      for (const count of [1, 15, 16, 31, 32, 64, 65, 127, 128, 255, 256, 21845, 65535, 65536]) {
        const text = unit.repeat(count)
        assert.ok(roundTrip(text) === text, `${count} times ${JSON.stringify(unit)}`)
        assert.ok(roundTrip('a' + text) === 'a' + text)
      }
    }
  })

  it('containers at every size around a change of header', () => {
    for (const size of [15, 16, 65535, 65536]) {
      const array = Array.from({ length: size }, (_, i) => i)
      assert.deepStrictEqual(roundTrip(array), array)
      const entries = array.map((i) => [`key ${i}`, i])
      assert.deepStrictEqual(roundTrip(Object.fromEntries(entries)), Object.fromEntries(entries))
      assert.deepStrictEqual(roundTrip(new Map(entries)), new Map(entries))
      assert.deepStrictEqual(roundTrip(new Set(array)), new Set(array))
      assert.deepStrictEqual(roundTrip(new Uint8Array(array)), new Uint8Array(array))
      assert.deepStrictEqual(roundTrip(new Float64Array(array)), new Float64Array(array))
    }
  })

  it('bigints around every power of two', () => {
    for (let bits = 0n; bits < 200n; bits++) {
      for (const near of [-1n, 0n, 1n]) {
        const bigint = 2n ** bits + near
        assert.equal(roundTrip(bigint), bigint)
        assert.equal(roundTrip(-bigint), -bigint)
      }
    }
    assert.equal(roundTrip(-(3n ** 50000n)), -(3n ** 50000n))
  })

  it('a Buffer as a Buffer and a Uint8Array as a Uint8Array', () => {
    assert.ok(Buffer.isBuffer(roundTrip(Buffer.from('x'))))
    assert.ok(!Buffer.isBuffer(roundTrip(new Uint8Array(1))))
  })

  it('an own property __proto__ sets no prototype', () => {
    const value = roundTrip(JSON.parse('{"__proto__":{"admin":true},"a":1}'))
    assert.equal(Object.getPrototypeOf(value), Object.prototype)
    assert.deepStrictEqual(Object.keys(value), ['__proto__', 'a'])
    assert.equal(value.admin, undefined)
  })

  it('an object without a prototype as a plain one', () => {
    assert.deepStrictEqual(roundTrip(Object.assign(Object.create(null), { a: 1 })), { a: 1 })
  })

  it('holes as undefined', () => {
    const sparse = [1, 2, 3]
    delete sparse[1]
    assert.deepStrictEqual(roundTrip(sparse), [1, undefined, 3])
  })

  it('an object that occurs twice as two', () => {
    const shared = { a: 1 }
    const value = roundTrip([shared, shared])
    assert.deepStrictEqual(value, [shared, shared])
    assert.notEqual(value[0], value[1])
  })

  it('values of another realm', () => {
    const value = vm.runInNewContext(`({
      array: [1, { b: 2 }], map: new Map([[1, new Set([2])]]), date: new Date(5),
      bytes: new Uint8Array([1]), floats: new Float32Array([1.5]), buffer: new ArrayBuffer(2)
    })`)
    assert.deepStrictEqual(roundTrip(value), {
      array: [1, { b: 2 }],
      map: new Map([[1, new Set([2])]]),
      date: new Date(5),
      bytes: new Uint8Array([1]),
      floats: new Float32Array([1.5]),
      buffer: new ArrayBuffer(2)
    })
  })

  it('a part of a larger ArrayBuffer without the rest', () => {
    const part = new Uint16Array([1, 2, 3, 4]).subarray(1, 3)
    const value = roundTrip(part)
    assert.deepStrictEqual(value, part)
    assert.equal(value.buffer.byteLength, 4)
  })

  it('a getter is read, and may itself encode', () => {
    const value = { get a () { return encode('x'.repeat(100000)).length }, b: 1 }
    assert.deepStrictEqual(roundTrip(value), { a: 100005, b: 1 })
  })

  it('properties that are not enumerable are left out', () => {
    const value = Object.defineProperty({ a: 1 }, 'hidden', { value: () => {} })
    assert.deepStrictEqual(roundTrip(value), { a: 1 })
  })
})

describe('what cannot come back as it was is refused, and the path is named', () => {
  class User {}
  class Dictionary extends Map {}

  it('functions and symbols', () => {
    refused(() => {}, 'ERR_INVALID_VALUE', 'value')
    const task = { items: [1, 2, 3, { callback () {} }] }
    refused(task, 'ERR_INVALID_VALUE', 'value.items[3].callback')
    refused({ 'a b': [Symbol('x')] }, 'ERR_INVALID_VALUE', 'value["a b"][0]')
    refused({ a: { [Symbol('x')]: 1 } }, 'ERR_INVALID_VALUE', 'value.a')
    refused(new Map([['k', [() => {}]]]), 'ERR_INVALID_VALUE', 'value.get("k")[0]')
    refused(new Map([[{ a: () => {} }, 1]]), 'ERR_INVALID_VALUE', 'value.keys()[0].a')
    refused(new Map([[1, () => {}]]), 'ERR_INVALID_VALUE', 'value.values()[0]')
    refused(new Set([1, () => {}]), 'ERR_INVALID_VALUE', 'value.values()[1]')
    refused(new Proxy({ a: () => {} }, {}), 'ERR_INVALID_VALUE', 'value.a')
  })

  it('class instances', () => {
    const instances = [new User(), new Dictionary(), new Error('x'), /x/, Promise.resolve(),
      new WeakMap(), new URL('http://localhost'), Object(1), Object('x'), Object.create({ a: 1 }),
      new (class extends Array {})(), new (class extends Uint8Array {})(1), [].values(),
      new SharedArrayBuffer(1), new (class extends Date {})()]
    for (const instance of instances) refused({ a: [instance] }, 'ERR_INVALID_VALUE', 'value.a[0]')
  })

  it('undefined itself, with the way to delete', () => {
    refused(undefined, 'ERR_INVALID_VALUE', 'value')
    assert.throws(() => encode(undefined), /delete\(\)/)
  })

  it('circular values, with what they lead back to', () => {
    const value = { a: { list: [0] } }
    value.a.list.push(value.a)
    refused(value, 'ERR_INVALID_VALUE', 'value.a.list[1]')
    assert.throws(() => encode(value), /it is value\.a again/)
    const map = new Map()
    refused(map.set('self', { map }), 'ERR_INVALID_VALUE', 'value.get("self").map')
  })

  it('nesting past 512 levels of any container', () => {
    const wraps = [(v) => [v], (a) => ({ a }), (v) => new Set([v]), (v) => new Map([['k', v]])]
    for (const wrap of wraps) {
      assert.deepStrictEqual(roundTrip(nested(512, wrap)), nested(512, wrap))
      assert.throws(() => encode(nested(513, wrap)), RangeError)
      assert.throws(() => encode(nested(513, wrap)), { code: 'ERR_VALUE_TOO_DEEP' })
    }
    assert.throws(() => encode({ deep: nested(600, (v) => [v]) }), /^RangeError: value\.deep\[0\]/)
  })

  it('more than 512 MiB, before memory for it is asked for', () => {
    const bytes = new Uint8Array(512 * 1024 * 1024) // never touched, so it takes no memory
    refused({ files: ['x', bytes] }, 'ERR_VALUE_TOO_LARGE', 'value.files[1]', RangeError)
    refused(bytes, 'ERR_VALUE_TOO_LARGE', 'value', RangeError)
    refused({ a: new Array(2 ** 31) }, 'ERR_VALUE_TOO_LARGE', 'value.a', RangeError)
  })

  it('an error thrown by a getter is passed on, and the codec works afterwards', () => {
    const error = new Error('mine')
    assert.throws(() => encode({ a: [{ get b () { throw error } }] }), error)
    assert.deepStrictEqual(roundTrip({ a: 1 }), { a: 1 })
  })
})

describe('bytes that are not a value', () => {
  const hasFloat16 = typeof Float16Array === 'function' // eslint-disable-line no-undef

  it('a Float16Array needs a Node.js that has it', () => {
    const bytes = Buffer.from('c705050b003c00c0', 'hex')
    if (!hasFloat16) return assert.throws(() => decode(bytes), { code: 'ERR_FORMAT_VERSION' })
    assert.deepStrictEqual(Array.from(decode(bytes)), [1, -2])
    assert.deepStrictEqual(encode(decode(bytes)), bytes)
  })

  for (const { name, hex } of malformed) {
    it(`${name} is ERR_CORRUPT`, () => {
      assert.throws(() => decode(Buffer.from(hex, 'hex')), { code: 'ERR_CORRUPT' })
    })
  }

  it('a value cut short anywhere is ERR_CORRUPT, also with more bytes behind it', () => {
    for (const { hex } of values) {
      const bytes = Buffer.from(hex, 'hex')
      for (let end = 0; end < bytes.length; end++) {
        assert.throws(() => decode(bytes, 0, end), { code: 'ERR_CORRUPT' }, `${hex} cut at ${end}`)
      }
    }
  })

  it('changed bytes yield a value or ERR_CORRUPT', () => {
    let state = Number(process.env.SEED ?? Date.now() % 2 ** 31) | 1
    console.log(`SEED=${state}`)
    const random = (below) => {
      state = Math.imul(state, 1664525) + 1013904223 | 0
      return (state >>> 8) % below
    }
    const allowed = ['ERR_CORRUPT', ...(hasFloat16 ? [] : ['ERR_FORMAT_VERSION'])]
    for (let round = 0; round < 20000; round++) {
      const bytes = Buffer.from(values[round % values.length].hex, 'hex')
      for (let i = round % 3; i >= 0; i--) bytes[random(bytes.length)] = random(256)
      try {
        decode(bytes)
      } catch (error) {
        if (!allowed.includes(error.code)) throw new Error(bytes.toString('hex'), { cause: error })
      }
    }
  })
})

describe('several values in a row', () => {
  it('are decoded one after another', () => {
    const all = values.filter(({ name }) => name !== 'invalid date')
    const bytes = Buffer.concat(all.map(({ hex }) => Buffer.from(hex, 'hex')))
    const expected = all.map(({ js }) => evaluate(js))
    assert.deepStrictEqual(decodeMany(bytes, 0, bytes.length), expected)
    assert.deepStrictEqual(decodeMany(bytes, 0, 0), [])
  })

  it('are refused when the last is cut short', () => {
    assert.throws(() => decodeMany(Buffer.from('01a26161', 'hex'), 0, 3), { code: 'ERR_CORRUPT' })
  })
})

describe('a value that lies about itself', () => {
  const proxy = (length) => new Proxy([1, 2, 3], {
    get: (target, name) => name === 'length' ? length : target[name]
  })
  const bytes = () => new Uint8Array([1, 2, 3, 4, 5])
  const own = (binary, name, descriptor) =>
    Object.defineProperty(binary, name, typeof descriptor === 'function'
      ? { get: descriptor }
      : { value: descriptor })

  it('an array whose length is not a whole number is refused', () => {
    for (const length of [2.5, -1, NaN, Infinity, '3', 2 ** 32, undefined]) {
      refused(proxy(length), 'ERR_INVALID_VALUE', 'value')
      refused({ list: proxy(length) }, 'ERR_INVALID_VALUE', 'value.list')
    }
    assert.deepEqual(roundTrip(proxy(2)), [1, 2])
  })

  it('properties of its own do not change what is stored of binary data', () => {
    encode('SECRET'.repeat(100))
    for (const length of [3, 20, -1, '5', () => 2]) {
      assert.deepEqual(roundTrip(own(bytes(), 'length', length)), bytes())
      assert.deepEqual(roundTrip(own(Buffer.from('hi'), 'length', length)), Buffer.from('hi'))
    }
    for (const name of ['byteLength', 'byteOffset', 'buffer', Symbol.toStringTag]) {
      for (const lie of [5, new ArrayBuffer(64), 'Float64Array', () => 7]) {
        assert.deepEqual(roundTrip(own(bytes(), name, lie)), bytes())
        const floats = own(new Float32Array([1, 2]), name, lie)
        assert.deepEqual(roundTrip(floats), new Float32Array([1, 2]))
        const view = roundTrip(own(new DataView(bytes().buffer, 1, 2), name, lie))
        assert.deepEqual(new Uint8Array(view.buffer), new Uint8Array([2, 3]))
        const buffer = roundTrip(own(bytes().buffer, name, lie))
        assert.deepEqual(new Uint8Array(buffer), bytes())
      }
    }
  })

  it('bytes that were transferred elsewhere are refused', () => {
    for (const make of [
      (buffer) => buffer,
      (buffer) => new Uint8Array(buffer),
      (buffer) => new Float32Array(buffer),
      (buffer) => new DataView(buffer),
      (buffer) => Buffer.from(buffer)
    ]) {
      const buffer = new ArrayBuffer(8)
      const value = make(buffer)
      structuredClone(buffer, { transfer: [buffer] })
      refused(value, 'ERR_INVALID_VALUE', 'value')
      refused([value], 'ERR_INVALID_VALUE', 'value[0]')
    }
  })
})

it('a value whose encoding was terminated does not slow down those that follow', () => {
  const value = { get stop () { for (;;); } }
  const run = () => vm.runInNewContext('encode(value)', { encode, value }, { timeout: 5 })
  for (let i = 0; i < 3; i++) assert.throws(run, { code: 'ERR_SCRIPT_EXECUTION_TIMEOUT' })
  assert.equal(encode([1]).toString('hex'), '9101')
  assert.equal(encode([1]).buffer, encode([2]).buffer, 'one buffer is used again and again')
  assert.deepEqual(roundTrip({ get a () { return encode('inner').length }, b: 'x' }), {
    a: 6, b: 'x'
  })
})

it('a promise is refused with the remedy', () => {
  assert.throws(() => encode({ a: Promise.resolve(1) }), /value\.a is a Promise: await it first/)
})
