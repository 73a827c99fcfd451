'use strict'

// Every call that reads a range agrees with the same range taken from a sorted list in memory.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { sameProperties, temporaryNamespace, throwsCode } = require('./support/store')
const { seededRandom } = require('./support/random')

const bytes = (text) => Buffer.from(text, 'utf8')
const compare = (a, b) => Buffer.compare(bytes(a), bytes(b))
const startsWith = (key, prefix) =>
  bytes(key).subarray(0, bytes(prefix).length).equals(bytes(prefix))

/** What a range of these entries holds, by definition. */
function expected (entries, { prefix = '', start, end, reverse = false, limit = Infinity } = {}) {
  const selected = [...entries]
    .filter(([key]) => startsWith(key, prefix))
    .filter(([key]) => start === undefined || compare(key, start) >= 0)
    .filter(([key]) => end === undefined || compare(key, end) < 0)
    .sort(([a], [b]) => compare(a, b))
  if (reverse) selected.reverse()
  return selected.slice(0, limit)
}

function checkRange (namespace, entries, range) {
  const want = expected(entries, range)
  const keys = want.map(([key]) => key)
  const values = want.map(([, value]) => value)
  const what = JSON.stringify(range)
  assert.deepEqual(namespace.listKeys(range), keys, `listKeys ${what}`)
  assert.deepEqual([...namespace.keys(range)], keys, `keys ${what}`)
  assert.deepEqual([...namespace.values(range)], values, `values ${what}`)
  assert.deepEqual([...namespace.entries(range)], want, `entries ${what}`)
  sameProperties(namespace.getAll(range), Object.fromEntries(want))
}

/** Keys made of few letters, so that prefixes and bounds meet many of them. */
function randomText (random, maximum) {
  const letters = ['a', 'b', '/', '\u0000', '\u007f', '\u00e9', '\uffff', '\u{1f600}', '\u{10ffff}']
  return Array.from({ length: random.below(maximum + 1) }, () => random.pick(letters)).join('')
}

function randomRange (random) {
  const range = {}
  if (random.next() < 0.5) range.prefix = randomText(random, 2)
  if (random.next() < 0.4) range.start = randomText(random, 3)
  if (random.next() < 0.4) range.end = randomText(random, 3)
  if (random.next() < 0.5) range.reverse = random.next() < 0.8
  if (random.next() < 0.4) range.limit = 1 + random.below(20)
  return range
}

test('random ranges over random keys agree with a sorted list', (t) => {
  const random = seededRandom(t)
  const namespace = temporaryNamespace(t)
  const entries = new Map()
  for (let n = 0; n < 400; n++) entries.set(`${randomText(random, 4)}${random.pick('ab')}`, n)
  namespace.setMany(entries)
  for (let round = 0; round < 500; round++) checkRange(namespace, entries, randomRange(random))
})

test('random ranges stay right while keys come and go', (t) => {
  const random = seededRandom(t)
  const namespace = temporaryNamespace(t)
  const entries = new Map()
  for (let round = 0; round < 100; round++) {
    const batch = Array.from({ length: 8 }, (_, n) => [`k${randomText(random, 3)}`, round * 8 + n])
    namespace.setMany(batch)
    for (const [key, value] of batch) entries.set(key, value)
    const gone = [...entries.keys()].filter(() => random.next() < 0.2)
    assert.equal(namespace.deleteMany(gone), gone.length)
    for (const key of gone) entries.delete(key)
    assert.equal(namespace.count(), entries.size)
    checkRange(namespace, entries, randomRange(random))
  }
})

test('keys are ordered by their bytes, not by UTF-16 units', (t) => {
  const namespace = temporaryNamespace(t)
  const ordered = ['A', 'a', 'a\u0000', 'aa', 'b', '\u00e9', '\uffff', '\u{1f600}']
  namespace.setMany([...ordered].reverse().map((key) => [key, key]))
  assert.deepEqual(namespace.listKeys(), ordered)
  assert.ok('\uffff' > '\u{1f600}', 'JavaScript would order these two the other way')
})

test('start is inclusive and end exclusive, also with reverse', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.setMany({ a: 1, b: 2, c: 3, d: 4 })
  assert.deepEqual(namespace.listKeys({ start: 'b', end: 'd' }), ['b', 'c'])
  assert.deepEqual(namespace.listKeys({ start: 'b', end: 'd', reverse: true }), ['c', 'b'])
  assert.deepEqual(namespace.listKeys({ start: 'd', end: 'b' }), [])
  assert.deepEqual(namespace.listKeys({ start: 'd', end: 'b', reverse: true }), [])
  assert.deepEqual(namespace.listKeys({ start: 'b', end: 'b' }), [])
  assert.deepEqual(namespace.listKeys({ reverse: true, limit: 2 }), ['d', 'c'])
  assert.deepEqual(namespace.listKeys({ limit: 0 }), [])
  assert.deepEqual(namespace.listKeys({ limit: 99 }), ['a', 'b', 'c', 'd'])
  assert.deepEqual(namespace.listKeys({ start: '', end: '' }), [])
})

test('a prefix of bytes 0xf4 0x8f 0xbf 0xbf, the highest there is, has no upper neighbour', (t) => {
  const namespace = temporaryNamespace(t)
  const highest = '\u{10ffff}'
  namespace.setMany({ a: 0, [highest]: 1, [`${highest}a`]: 2, [`${highest}${highest}`]: 3 })
  const three = [highest, `${highest}a`, `${highest}${highest}`]
  assert.deepEqual(namespace.listKeys({ prefix: highest }), three)
  assert.deepEqual(namespace.listKeys({ prefix: highest, reverse: true }), three.reverse())
})

test('prefixes do not match inside a character', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.setMany({ \u00e9: 1, \u00e8: 2, e: 3 })
  assert.deepEqual(namespace.listKeys({ prefix: '\u00e9' }), ['\u00e9'])
  assert.deepEqual(namespace.listKeys({ prefix: 'e' }), ['e'])
})

test('a namespace iterates over its entries and fills a Map', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.setMany({ b: { n: 2 }, a: { n: 1 } })
  assert.deepEqual([...namespace], [['a', { n: 1 }], ['b', { n: 2 }]])
  assert.deepEqual(new Map(namespace), new Map([['a', { n: 1 }], ['b', { n: 2 }]]))
})

test('an empty namespace has nothing to iterate', (t) => {
  const namespace = temporaryNamespace(t)
  assert.deepEqual([...namespace], [])
  assert.deepEqual(namespace.listKeys({ reverse: true }), [])
  sameProperties(namespace.getAll({ prefix: 'a' }), {})
  assert.equal(namespace.count(), 0)
})

test('iterators are iterable, end once, and may be left early', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.setMany(Array.from({ length: 5000 }, (_, n) => [`k${String(n).padStart(5, '0')}`, n]))
  const iterator = namespace.keys()
  assert.equal(iterator[Symbol.iterator](), iterator)
  assert.deepEqual(iterator.next(), { value: 'k00000', done: false })
  assert.equal([...iterator].length, 4999)
  assert.equal(iterator.next().done, true)
  assert.equal(iterator.next().done, true)
  for (const value of namespace.values()) if (value === 10) break
  assert.equal(namespace.set('after', 1) > 0, true)
})

test('a loop may write: what exists all the while comes exactly once, in order', (t) => {
  const namespace = temporaryNamespace(t)
  const name = (n) => `k${String(n).padStart(5, '0')}`
  namespace.setMany(Array.from({ length: 3000 }, (_, n) => [name(n), n]))
  const seen = []
  for (const [key, value] of namespace.entries()) {
    seen.push(key)
    if (value % 2 === 0) namespace.delete(key)
    if (value % 100 === 0) namespace.set(`a${key}`, -1)
  }
  assert.deepEqual(seen, Array.from({ length: 3000 }, (_, n) => name(n)))
  const backwards = [...namespace.keys({ prefix: 'k', reverse: true })]
  assert.deepEqual(backwards, Array.from({ length: 1500 }, (_, n) => name(2999 - 2 * n)))
})

test('a limit counts over chunks', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.setMany(Array.from({ length: 20_000 }, (_, n) => [String(n).padStart(5, '0'), n]))
  assert.equal([...namespace.keys({ limit: 12_345 })].length, 12_345)
  assert.equal([...namespace.values({ limit: 12_345, reverse: true })].at(-1), 20_000 - 12_345)
  assert.equal([...namespace.entries()].length, 20_000)
  assert.equal(Object.keys(namespace.getAll()).length, 20_000)
})

test('getAll is one snapshot and costs the others nothing', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.setMany({ a: 1, b: 2 })
  const all = namespace.getAll()
  namespace.set('a', 99)
  sameProperties(all, { a: 1, b: 2 })
})

test('bad ranges are refused at the call, not at the first step', (t) => {
  const namespace = temporaryNamespace(t)
  for (const method of ['keys', 'values', 'entries', 'listKeys', 'getAll']) {
    throwsCode(() => namespace[method]({ limit: -1 }), 'ERR_INVALID_OPTION', { type: RangeError })
    throwsCode(() => namespace[method]({ start: 1 }), 'ERR_INVALID_OPTION', { type: TypeError })
  }
})
