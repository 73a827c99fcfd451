'use strict'

// Every limit at the limit and one past it.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const os = require('node:os')
const path = require('node:path')
const { openStore } = require('..')
const { temporaryDirectory, temporaryNamespace, temporaryStore, throwsCode } =
  require('./support/store')

test('a key has at most 1,978 bytes', (t) => {
  const namespace = temporaryNamespace(t)
  const longest = ['k'.repeat(1978), '\u00fc'.repeat(989), `${'\u{1f600}'.repeat(494)}\u00fc`]
  longest.forEach((key, index) => namespace.set(key, index))
  longest.forEach((key, index) => assert.equal(namespace.get(key), index))
  assert.deepEqual(namespace.listKeys().sort(), [...longest].sort())
  assert.equal(namespace.set('1', 'one byte') > 0, true)
  for (const key of longest) throwsCode(() => namespace.set(`${key}k`, 1), 'ERR_KEY_TOO_LONG')
})

test('keys that differ only in their last byte are two keys', (t) => {
  const namespace = temporaryNamespace(t)
  const stem = 'k'.repeat(1977)
  namespace.setMany([[`${stem}a`, 1], [`${stem}b`, 2]])
  assert.equal(namespace.get(`${stem}a`), 1)
  assert.equal(namespace.get(`${stem}b`), 2)
  assert.deepEqual(namespace.listKeys({ prefix: stem, start: `${stem}b` }), [`${stem}b`])
})

test('a namespace name has at most 512 bytes', (t) => {
  const store = temporaryStore(t)
  const longest = ['n'.repeat(512), '\u00fc'.repeat(256)]
  for (const name of longest) {
    store.useNamespace(name).set('key', name)
    throwsCode(() => store.useNamespace(`${name}n`), 'ERR_INVALID_NAMESPACE', { message: /512/ })
  }
  assert.deepEqual(store.listNamespaces(), longest)
  for (const name of longest) assert.equal(store.useNamespace(name).get('key'), name)
})

test('a value is nested at most 512 deep', (t) => {
  const namespace = temporaryNamespace(t)
  const nest = {
    arrays: (inner) => [inner],
    objects: (inner) => ({ inner }),
    maps: (inner) => new Map([['inner', inner]]),
    sets: (inner) => new Set([inner])
  }
  for (const [kind, wrap] of Object.entries(nest)) {
    let value = wrap(1)
    for (let depth = 1; depth < 512; depth++) value = wrap(value)
    namespace.set(kind, value)
    assert.deepEqual(namespace.get(kind), value)
    throwsCode(() => namespace.set('k', wrap(value)), 'ERR_VALUE_TOO_DEEP', { message: /512/ })
  }
  assert.equal(namespace.has('k'), false)
})

test('a value nested a million deep is refused, not a crash', (t) => {
  const namespace = temporaryNamespace(t)
  let value = []
  for (let depth = 0; depth < 1_000_000; depth++) value = [value]
  throwsCode(() => namespace.set('k', value), 'ERR_VALUE_TOO_DEEP')
})

const needsMemory = { skip: os.freemem() < 4 * 2 ** 30 && 'needs 4 GiB of free memory' }

test('a value has at most 512 MiB, and a batch 1 GiB', needsMemory, (t) => {
  const namespace = temporaryNamespace(t)
  const encodedHeader = 5
  const largest = new Uint8Array(512 * 1024 * 1024 - encodedHeader)
  largest[largest.length - 1] = 7
  namespace.set('key', largest)
  const read = namespace.get('key')
  assert.equal(read.length, largest.length)
  assert.equal(read.at(-1), 7)
  const larger = new Uint8Array(largest.length + 1)
  throwsCode(() => namespace.set('key', larger), 'ERR_VALUE_TOO_LARGE', { message: /536870912/ })
  const batch = ['a', 'b', 'c'].map((key) => [key, largest])
  throwsCode(() => namespace.setMany(batch), 'ERR_VALUE_TOO_LARGE', { message: /1073741824/ })
  assert.deepEqual(namespace.listKeys(), ['key'])
})

test('a ttl has at most 315,576,000,000,000 ms', (t) => {
  const namespace = temporaryNamespace(t)
  const longest = 315_576_000_000_000
  const before = Date.now()
  namespace.set('key', 1, { ttl: longest })
  const { expiresAt } = namespace.getEntry('key')
  assert.ok(expiresAt.getTime() >= before + longest, `${expiresAt}`)
  throwsCode(() => namespace.set('key', 1, { ttl: longest + 1 }), 'ERR_INVALID_OPTION', {
    type: RangeError
  })
})

test('one setMany may hold 100,000 entries, and one deleteMany', (t) => {
  const namespace = temporaryNamespace(t)
  const keys = Array.from({ length: 100_000 }, (_, n) => `key ${n}`)
  assert.equal(namespace.setMany(keys.map((key, n) => [key, n])), 100_000)
  assert.equal(namespace.count(), 100_000)
  assert.equal(Object.keys(namespace.getMany(keys)).length, 100_000)
  assert.equal(namespace.deleteMany(keys), 100_000)
  assert.equal(namespace.count(), 0)
})

test('a value may be an empty string, array, object, map, set or buffer', (t) => {
  const namespace = temporaryNamespace(t)
  for (const value of ['', [], {}, new Map(), new Set(), new Uint8Array(0)]) {
    namespace.set('key', value)
    assert.deepEqual(namespace.get('key'), value)
  }
})

test('maxSize is at least 1 MiB', (t) => {
  const directory = path.join(temporaryDirectory(t), 'store')
  const tooSmall = () => openStore({ path: directory, maxSize: 1024 * 1024 - 1 })
  throwsCode(tooSmall, 'ERR_INVALID_OPTION', { type: RangeError, message: /1048576/ })
  const store = openStore({ path: directory, maxSize: 1024 * 1024 })
  store.set('key', 'value')
  assert.equal(store.get('key'), 'value')
  store.close()
})

test('a store at its maxSize says so, loses nothing, and goes on when made larger', (t) => {
  const directory = path.join(temporaryDirectory(t), 'store')
  const small = openStore({ path: directory, maxSize: 16 * 1024 * 1024 })
  const namespace = small.useNamespace('n')
  assert.equal(small.stats().maxBytes, 16 * 1024 * 1024)
  const value = 'x'.repeat(100_000)
  let written = 0
  throwsCode(() => {
    for (; written < 1000; written++) namespace.set(`key ${written}`, value)
  }, 'ERR_STORE_FULL', { message: /maxSize/ })
  assert.ok(written > 50, `${written} written before it was full`)
  throwsCode(() => namespace.setMany([['a', value], ['b', value]]), 'ERR_STORE_FULL')
  assert.equal(namespace.count(), written)
  for (let n = 0; n < written; n++) assert.equal(namespace.get(`key ${n}`), value)
  small.close()
  const larger = openStore({ path: directory, maxSize: 64 * 1024 * 1024 })
  assert.equal(larger.useNamespace('n').count(), written)
  larger.useNamespace('n').set('more', value)
  assert.equal(larger.useNamespace('n').clear(), written + 1)
  larger.close()
})

test('a key that is overwritten again and again does not fill a small store with its history', (t) => {
  const namespace = temporaryStore(t, { maxSize: 1024 * 1024 }).useNamespace('test')
  const key = 'k'.repeat(1500)
  for (let n = 0; n < 1000; n++) namespace.set(key, n)
  assert.equal(namespace.get(key), 999)
})

test('in a full store history gives way: to data, and to the removal of long keys', (t) => {
  const store = temporaryStore(t, { maxSize: 16 * 1024 * 1024 })
  const namespace = store.useNamespace('test')
  const keys = Array.from({ length: 6000 }, (_, n) => `${n}${'k'.repeat(1900)}`)
  let stored = 0
  assert.throws(() => {
    for (; stored < keys.length; stored += 100) {
      namespace.setMany(keys.slice(stored, stored + 100).map((key) => [key, 1]))
    }
  }, { code: 'ERR_STORE_FULL' })
  assert.equal(namespace.deleteMany(keys.slice(0, stored)), stored)
  assert.equal(namespace.count(), 0)
  namespace.set('room', 1)
})
