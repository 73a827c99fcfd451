'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { sameProperties, temporaryNamespace, temporaryStore, throwsCode } =
  require('./support/store')

test('update gets the value and its entry, writes the result and returns it', (t) => {
  const namespace = temporaryNamespace(t)
  const version = namespace.set('key', { count: 1 })
  const result = namespace.update('key', (value, entry) => {
    assert.equal(entry.key, 'key')
    assert.equal(entry.version, version)
    assert.deepEqual(entry.value, value)
    return { count: value.count + 1 }
  })
  assert.deepEqual(result, { count: 2 })
  assert.deepEqual(namespace.get('key'), { count: 2 })
  assert.ok(namespace.getEntry('key').version > version)
})

test('update of a missing key gets undefined and creates it', (t) => {
  const namespace = temporaryNamespace(t)
  const result = namespace.update('key', (...args) => {
    assert.deepEqual(args, [undefined, undefined])
    return 'new'
  })
  assert.equal(result, 'new')
  assert.equal(namespace.get('key'), 'new')
})

test('update that returns undefined deletes, and does nothing where there is nothing', (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  assert.equal(namespace.update('key', () => undefined), undefined)
  assert.deepEqual(store.listNamespaces(), [])
  namespace.set('key', 1)
  assert.equal(namespace.update('key', () => undefined), undefined)
  assert.equal(namespace.has('key'), false)
})

test('update that throws leaves everything as it was', (t) => {
  const namespace = temporaryNamespace(t)
  const version = namespace.set('key', { list: [1] })
  const mine = new Error('mine')
  assert.throws(() => namespace.update('key', (value) => {
    value.list.push(2)
    throw mine
  }), mine)
  assert.deepEqual(namespace.get('key'), { list: [1] })
  assert.equal(namespace.getEntry('key').version, version)
  namespace.set('key', 2)
})

test('update runs its function again when another writer was first', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.set('key', [])
  let runs = 0
  namespace.update('key', (list) => {
    runs += 1
    if (runs <= 3) namespace.set('key', [...list, `other ${runs}`])
    return [...list, 'mine']
  })
  assert.equal(runs, 4)
  assert.deepEqual(namespace.get('key'), ['other 1', 'other 2', 'other 3', 'mine'])
})

test('update whose function always writes the key itself ends with an error', (t) => {
  const namespace = temporaryNamespace(t)
  let runs = 0
  throwsCode(() => namespace.update('key', () => namespace.set('key', ++runs)), 'ERR_CONFLICT', {
    message: /"key" in "test".*does its function write the key itself/
  })
  assert.equal(runs, 1000)
  assert.equal(namespace.get('key'), 1000)
  assert.equal(namespace.update('key', (value) => value + 1), 1001)
})

test('update runs again when the key came or went meanwhile', (t) => {
  const namespace = temporaryNamespace(t)
  const seen = []
  namespace.update('key', (value) => {
    seen.push(value)
    if (seen.length === 1) namespace.set('key', 'came')
    if (seen.length === 2) namespace.delete('key')
    return 'mine'
  })
  assert.deepEqual(seen, [undefined, 'came', undefined])
  assert.equal(namespace.get('key'), 'mine')
})

test('a function inside update may read and write other keys: no lock is held', (t) => {
  const store = temporaryStore(t)
  const [a, b] = [store.useNamespace('a'), store.useNamespace('b')]
  const result = a.update('key', () => b.update('inner', () => {
    b.set('deeper', 1)
    return a.get('key', 0) + 1
  }) + 1)
  assert.equal(result, 2)
  assert.equal(b.get('inner'), 1)
  assert.equal(b.get('deeper'), 1)
})

test('update refuses the promise of an async function', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.set('key', 1)
  throwsCode(() => namespace.update('key', async () => 2), 'ERR_INVALID_VALUE')
  assert.equal(namespace.get('key'), 1)
})

test('update applies ttl and metadata, and keeps those there are', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.update('key', () => 1, { ttl: 3_600_000, metadata: { a: 1 } })
  const first = namespace.getEntry('key')
  assert.ok(first.expiresAt > new Date())
  namespace.update('key', () => 2, { metadata: { b: 2 } })
  const second = namespace.getEntry('key')
  assert.deepEqual(second.expiresAt, first.expiresAt)
  sameProperties(second.metadata, { a: 1, b: 2 })
  assert.deepEqual(second.createdAt, first.createdAt)
})

test('update with ifVersion does not run on another version', (t) => {
  const namespace = temporaryNamespace(t)
  const version = namespace.set('key', 1)
  throwsCode(() => namespace.update('key', () => 2, { ifVersion: version + 1 }), 'ERR_CONFLICT')
  throwsCode(() => namespace.update('key', () => 2, { ifVersion: 0 }), 'ERR_CONFLICT')
  assert.equal(namespace.get('key'), 1)
  assert.equal(namespace.update('key', () => 2, { ifVersion: version }), 2)
  assert.equal(namespace.update('new', () => 3, { ifVersion: 0 }), 3)
})

test('increment adds, from 0 where nothing is, by 1 where nothing is said', (t) => {
  const namespace = temporaryNamespace(t)
  assert.equal(namespace.increment('n'), 1)
  assert.equal(namespace.increment('n'), 2)
  assert.equal(namespace.increment('n', 10), 12)
  assert.equal(namespace.increment('n', -20), -8)
  assert.equal(namespace.increment('n', 0), -8)
  assert.equal(namespace.increment('n', 0.5), -7.5)
  assert.equal(namespace.get('n'), -7.5)
  assert.equal(namespace.increment('negative', -1), -1)
})

test('increment adds as JavaScript does', (t) => {
  const namespace = temporaryNamespace(t)
  const values = [
    0, -0, 1, -1, 127, 128, 255, 256, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), 2 ** 32 - 1,
    2 ** 32, 2 ** 53 - 1, -(2 ** 53), 2 ** 60, 2 ** 63, 2 ** 64, 0.1, -1.5, 1e-300, 1e300,
    Number.MAX_VALUE, Infinity, -Infinity, NaN
  ]
  for (const value of values) {
    for (const by of [1, -1, 0.2, 2 ** 40, -(2 ** 53), 1e300]) {
      namespace.set('n', value)
      const isFinite = Number.isFinite(value + by)
      if (isFinite) assert.equal(namespace.increment('n', by), value + by, `${value} + ${by}`)
      else throwsCode(() => namespace.increment('n', by), 'ERR_INVALID_OPTION', { message: /large/ })
      assert.equal(namespace.get('n'), isFinite ? value + by : value)
    }
  }
})

test('increment of what is not a number throws and leaves it alone', (t) => {
  const namespace = temporaryNamespace(t)
  for (const value of ['1', null, true, [], {}, new Date(0), new Map(), new Uint8Array(1)]) {
    namespace.set('n', value)
    throwsCode(() => namespace.increment('n'), 'ERR_NOT_A_NUMBER')
    assert.deepEqual(namespace.get('n'), value)
  }
})

test('increment keeps metadata and creator', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.set('n', 1, { metadata: { unit: 'files' } })
  const before = namespace.getEntry('n')
  namespace.increment('n')
  const after = namespace.getEntry('n')
  sameProperties(after.metadata, { unit: 'files' })
  assert.deepEqual(after.createdAt, before.createdAt)
  assert.ok(after.version > before.version)
})

test('ifVersion writes only over the version read', (t) => {
  const namespace = temporaryNamespace(t)
  const first = namespace.set('key', 'a', { ifVersion: 0 })
  const conflict = throwsCode(() => namespace.set('key', 'b', { ifVersion: 0 }), 'ERR_CONFLICT')
  assert.equal(conflict.retryable, true)
  const second = namespace.set('key', 'b', { ifVersion: first })
  throwsCode(() => namespace.set('key', 'c', { ifVersion: first }), 'ERR_CONFLICT')
  assert.equal(namespace.get('key'), 'b')
  throwsCode(() => namespace.delete('key', { ifVersion: first }), 'ERR_CONFLICT')
  throwsCode(() => namespace.delete('key', { ifVersion: 0 }), 'ERR_CONFLICT')
  assert.equal(namespace.delete('key', { ifVersion: second }), true)
  throwsCode(() => namespace.set('key', 'd', { ifVersion: second }), 'ERR_CONFLICT')
  throwsCode(() => namespace.delete('key', { ifVersion: second }), 'ERR_CONFLICT')
  assert.ok(namespace.set('key', 'd', { ifVersion: 0 }) > second)
})

test('setMany takes pairs, maps, generators and objects, and returns how many', (t) => {
  const namespace = temporaryNamespace(t)
  assert.equal(namespace.setMany([['a', 1], ['b', 2]]), 2)
  assert.equal(namespace.setMany(new Map([['c', 3]])), 1)
  assert.equal(namespace.setMany({ d: 4, e: 5 }), 2)
  assert.equal(namespace.setMany((function * () { yield ['f', 6] })()), 1)
  assert.equal(namespace.setMany([]), 0)
  assert.equal(namespace.setMany({}), 0)
  sameProperties(namespace.getAll(), { a: 1, b: 2, c: 3, d: 4, e: 5, f: 6 })
})

test('the entries of one setMany share a version; of a key given twice the last counts', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.setMany([['a', 1], ['b', 2], ['a', 3]], { metadata: { batch: 1 } })
  assert.equal(namespace.get('a'), 3)
  assert.equal(namespace.count(), 2)
  const [a, b] = [namespace.getEntry('a'), namespace.getEntry('b')]
  assert.equal(a.version, b.version)
  assert.equal(a.metadata.batch, 1)
  assert.equal(b.metadata.batch, 1)
})

test('setMany with one bad entry writes none', (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  throwsCode(() => namespace.setMany([['a', 1], ['b', () => {}]]), 'ERR_INVALID_VALUE')
  throwsCode(() => namespace.setMany([['a', 1], ['', 2]]), 'ERR_INVALID_KEY')
  throwsCode(() => namespace.setMany([['a', 1], ['k'.repeat(1979), 2]]), 'ERR_KEY_TOO_LONG')
  const mine = new Error('mine')
  assert.throws(() => namespace.setMany((function * () { yield ['a', 1]; throw mine })()), mine)
  assert.deepEqual(store.listNamespaces(), [])
})

test('deleteMany deletes what is there and returns how many', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.setMany({ a: 1, b: 2, c: 3 })
  assert.equal(namespace.deleteMany(['a', 'missing', 'c', 'a']), 2)
  assert.deepEqual(namespace.listKeys(), ['b'])
  assert.equal(namespace.deleteMany(new Set(['b'])), 1)
  assert.equal(namespace.deleteMany([]), 0)
})

test('clear deletes everything, or what is under a prefix, and returns how many', (t) => {
  const store = temporaryStore(t)
  const [namespace, other] = [store.useNamespace('n'), store.useNamespace('other')]
  other.set('a', 1)
  namespace.setMany(Array.from({ length: 1000 }, (_, n) => [`${n % 2 ? 'odd' : 'even'}/${n}`, n]))
  assert.equal(namespace.clear({ prefix: 'odd/' }), 500)
  assert.equal(namespace.count(), 500)
  assert.equal(namespace.clear({ prefix: 'odd/' }), 0)
  assert.equal(namespace.clear({ prefix: '' }), 500)
  assert.equal(namespace.clear(), 0)
  assert.deepEqual(store.listNamespaces(), ['other'])
  assert.equal(other.get('a'), 1)
})
