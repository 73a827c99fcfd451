'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { openStore } = require('..')
const { sameProperties, temporaryNamespace, temporaryStore } = require('./support/store')

test('get returns what set stored, undefined for a missing key, or the fallback', (t) => {
  const namespace = temporaryNamespace(t)
  assert.equal(namespace.get('key'), undefined)
  assert.equal(namespace.get('key', 'fallback'), 'fallback')
  assert.equal(namespace.get('key', undefined), undefined)
  namespace.set('key', { stage: 'parsed', at: 5 })
  assert.deepEqual(namespace.get('key'), { stage: 'parsed', at: 5 })
  assert.deepEqual(namespace.get('key', 'fallback'), { stage: 'parsed', at: 5 })
})

test('the fallback is for missing keys only, not for null, 0, false or ""', (t) => {
  const namespace = temporaryNamespace(t)
  for (const value of [null, 0, false, '']) {
    namespace.set('key', value)
    assert.equal(namespace.get('key', 'fallback'), value)
    assert.equal(namespace.has('key'), true)
  }
})

test('a value read is a copy: changing it changes nothing in the store', (t) => {
  const namespace = temporaryNamespace(t)
  const original = { list: [1, 2], bytes: new Uint8Array([1, 2, 3]) }
  namespace.set('key', original)
  original.list.push(3)
  const read = namespace.get('key')
  read.list.push(4)
  read.bytes[0] = 99
  assert.deepEqual(namespace.get('key').list, [1, 2])
  assert.deepEqual([...namespace.get('key').bytes], [1, 2, 3])
})

test('values read earlier keep their bytes while later ones are read and written', (t) => {
  const namespace = temporaryNamespace(t)
  const bytesOf = (n) => new Uint8Array(1000).fill(n)
  const valueOf = (n) => ({ text: `${n}`.repeat(99), bytes: bytesOf(n) })
  for (let n = 0; n < 50; n++) namespace.set(`k${n}`, valueOf(n))
  const read = Array.from({ length: 50 }, (_, n) => namespace.get(`k${n}`))
  for (let n = 0; n < 50; n++) namespace.set(`k${n}`, 'overwritten')
  read.forEach(({ text, bytes }, n) => {
    assert.equal(text, `${n}`.repeat(99))
    assert.deepEqual([...bytes], [...bytesOf(n)])
  })
})

test('versions grow with every write of the store, in whichever namespace', (t) => {
  const store = temporaryStore(t)
  const [a, b] = [store.useNamespace('a'), store.useNamespace('b')]
  const versions = [a.set('k', 1), b.set('k', 1), a.set('k', 1), store.set('k', 1), b.set('l', 1)]
  assert.ok(versions.every((version) => Number.isSafeInteger(version) && version > 0))
  assert.deepEqual([...new Set(versions)].sort((x, y) => x - y), versions)
  assert.equal(a.getEntry('k').version, versions[2])
})

test('has tells whether a key is there, delete removes it and tells whether it was', (t) => {
  const namespace = temporaryNamespace(t)
  assert.equal(namespace.has('key'), false)
  assert.equal(namespace.delete('key'), false)
  namespace.set('key', 1)
  assert.equal(namespace.has('key'), true)
  assert.equal(namespace.delete('key'), true)
  assert.equal(namespace.has('key'), false)
  assert.equal(namespace.get('key'), undefined)
  assert.equal(namespace.delete('key'), false)
})

test('getMany reads any iterable of keys and leaves missing ones out', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.setMany({ a: 1, b: 2, c: 3 })
  sameProperties(namespace.getMany(['a', 'missing', 'c']), { a: 1, c: 3 })
  sameProperties(namespace.getMany(new Set(['b', 'b'])), { b: 2 })
  sameProperties(namespace.getMany(new Map([['a', 0]]).keys()), { a: 1 })
  sameProperties(namespace.getMany([]), {})
  assert.equal('missing' in namespace.getMany(['missing']), false)
})

test('"__proto__", "constructor" and the like are keys like any other', (t) => {
  const namespace = temporaryNamespace(t)
  const keys = ['__proto__', 'constructor', 'hasOwnProperty', 'toString', 'then']
  for (const key of keys) {
    assert.equal(namespace.get(key), undefined)
    namespace.set(key, { value: key })
  }
  for (const read of [namespace.getAll(), namespace.getMany(keys)]) {
    assert.deepEqual(Object.keys(read).sort(), [...keys].sort())
    for (const key of keys) {
      assert.ok(Object.prototype.hasOwnProperty.call(read, key), key)
      assert.deepEqual(Object.getOwnPropertyDescriptor(read, key).value, { value: key })
    }
  }
  assert.equal({}.value, undefined, 'Object.prototype is as it was')
})

test('any well-formed string is a key', (t) => {
  const namespace = temporaryNamespace(t)
  const keys = [
    'src/lib.rs', 'a b', ' ', '@scope/name', 'a|b', '\u00fc', '\u0000', '\n', '\u65e5\u672c\u8a9e',
    '\u{1f600}', '\uffff', 'a', 'A', 'a\u0000', '\u00e9', 'e\u0301', '\u007f', '..', '0'
  ]
  keys.forEach((key, index) => namespace.set(key, index))
  keys.forEach((key, index) => assert.equal(namespace.get(key), index, JSON.stringify(key)))
  assert.equal(namespace.count(), keys.length)
  assert.deepEqual(namespace.listKeys().sort(), [...keys].sort())
})

test('namespaces keep their keys apart and exist from their first key to their last', (t) => {
  const store = temporaryStore(t)
  const [a, b] = [store.useNamespace('a'), store.useNamespace('b')]
  assert.equal(a.name, 'a')
  assert.deepEqual(store.listNamespaces(), [])
  a.set('key', 1)
  assert.deepEqual(store.listNamespaces(), ['a'])
  b.set('key', 2)
  assert.equal(a.get('key'), 1)
  assert.equal(b.get('key'), 2)
  a.delete('key')
  assert.deepEqual(store.listNamespaces(), ['b'])
  a.set('key', 3)
  b.clear()
  assert.deepEqual(store.listNamespaces(), ['a'])
  assert.equal(a.count(), 1)
  assert.equal(b.count(), 0)
})

test('namespace names are listed in byte order and by prefix', (t) => {
  const store = temporaryStore(t)
  const names = [
    'summary:a', 'summary:b', 'summarx', 'Summary', 'files:x/y @1|2', '\u00e9', '\u{1f600}',
    '\uffff', ' '
  ]
  for (const name of names) store.useNamespace(name).set('key', name)
  const byBytes = [...names].sort((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)))
  assert.deepEqual(store.listNamespaces(), byBytes)
  assert.deepEqual(store.listNamespaces({ prefix: '' }), byBytes)
  assert.deepEqual(store.listNamespaces({ prefix: 'summary:' }), ['summary:a', 'summary:b'])
  assert.deepEqual(store.listNamespaces({ prefix: '\u00e9' }), ['\u00e9'])
  assert.deepEqual(store.listNamespaces({ prefix: 'none' }), [])
  for (const name of names) assert.equal(store.useNamespace(name).get('key'), name)
})

test('the store\'s own get, set, has and delete are the namespace "default"', (t) => {
  const store = temporaryStore(t)
  assert.equal(store.get('key'), undefined)
  assert.equal(store.get('key', 'fallback'), 'fallback')
  const version = store.set('key', 1, { metadata: { from: 'store' } })
  const entry = store.useNamespace('default').getEntry('key')
  assert.equal(entry.version, version)
  assert.equal(entry.metadata.from, 'store')
  assert.equal(store.get('key'), 1)
  assert.equal(store.has('key'), true)
  assert.deepEqual(store.listNamespaces(), ['default'])
  assert.equal(store.delete('key'), true)
  assert.equal(store.has('key'), false)
})

test('a key may be deleted and written again many times', (t) => {
  const namespace = temporaryNamespace(t)
  for (let round = 0; round < 100; round++) {
    namespace.set('key', round)
    assert.equal(namespace.get('key'), round)
    assert.equal(namespace.delete('key'), true)
    assert.equal(namespace.count(), 0)
  }
})

test('large values come back whole, next to small ones', (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  const text = 'The quick brown fox \u{1f98a}. '.repeat(200_000)
  const bytes = new Uint8Array(3_000_000).map((_, index) => index % 251)
  namespace.setMany({ small: 1, text, bytes, after: 2 })
  assert.equal(namespace.get('text'), text)
  assert.ok(Buffer.from(bytes).equals(Buffer.from(namespace.get('bytes'))))
  assert.equal(namespace.get('small'), 1)
  assert.equal(namespace.get('after'), 2)
  const again = openStore(store.path)
  assert.equal(again.useNamespace('n').get('text').length, text.length)
  again.close()
})

test('two views of one namespace see each other\'s writes at once', (t) => {
  const store = temporaryStore(t)
  const [first, second] = [store.useNamespace('n'), store.useNamespace('n')]
  for (let n = 0; n < 100; n++) {
    first.set('key', n)
    assert.equal(second.get('key'), n)
  }
})

test('user code that stores something in the midst of a write does not change the write', (t) => {
  const namespace = temporaryNamespace(t)
  const inner = () => namespace.set('inner', 'B'.repeat(10))
  const passing = (value) => ({ value: inner() && value })
  const schema = { '~standard': { version: 1, vendor: 'test', validate: passing } }
  const checked = temporaryStore(t).useNamespace('checked', { schema })
  const getter = { get x () { return inner() } }
  const outer = 'A'.repeat(20)
  for (const write of [
    () => namespace.set('outer', outer, { metadata: getter }),
    () => namespace.set('outer', outer, { get ttl () { return inner() && 60_000 } }),
    () => namespace.setMany({ outer }, { metadata: getter }),
    () => namespace.update('outer', () => outer, { metadata: getter }),
    () => namespace.setMany({ get outer () { inner(); return outer } }),
    () => namespace.setMany((function * () { yield ['outer', outer]; inner() })())
  ]) {
    namespace.clear()
    write()
    assert.deepEqual(namespace.getAll(), { inner: 'B'.repeat(10), outer }, `${write}`)
  }
  checked.set('outer', outer)
  assert.deepEqual(checked.getAll(), { outer })
  namespace.set('outer', { get a () { inner(); return [outer] }, b: outer })
  assert.deepEqual(namespace.get('outer'), { a: [outer], b: outer })
})
