'use strict'

// A key with a time to live is there until its last millisecond and gone with the next, whatever
// the sweeper does. No test waits a fixed time: each reads until the key is gone, and compares
// every single answer with the clock before and after the call.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { setImmediate: nextTurn } = require('node:timers/promises')
const { openStore } = require('..')
const { sameProperties, temporaryNamespace, temporaryStore, throwsCode } =
  require('./support/store')
const { runAgent } = require('./support/agents')

const hour = 3_600_000

/** Reads until the key is gone; every answer must agree with the clock around it. */
function readUntilGone (read, expiresAt) {
  for (let reads = 1; ; reads++) {
    const before = Date.now()
    const there = read()
    const after = Date.now()
    if (after < expiresAt) assert.ok(there, `there ${expiresAt - after} ms before its end`)
    if (before >= expiresAt) assert.ok(!there, `gone ${before - expiresAt} ms after its end`)
    if (before >= expiresAt && !there) return reads
  }
}

test('expiresAt is the time of writing plus the ttl', (t) => {
  const namespace = temporaryNamespace(t)
  const before = Date.now()
  namespace.set('key', 1, { ttl: hour })
  const after = Date.now()
  const { expiresAt, updatedAt } = namespace.getEntry('key')
  assert.ok(expiresAt instanceof Date)
  assert.ok(expiresAt >= before + hour && expiresAt <= after + hour)
  assert.ok(updatedAt >= before && updatedAt <= after)
})

for (const [call, read] of Object.entries({
  get: (namespace) => namespace.get('key') !== undefined,
  getEntry: (namespace) => namespace.getEntry('key') !== undefined,
  has: (namespace) => namespace.has('key'),
  getMany: (namespace) => 'key' in namespace.getMany(['key', 'other']),
  getAll: (namespace) => 'key' in namespace.getAll(),
  listKeys: (namespace) => namespace.listKeys().includes('key'),
  count: (namespace) => namespace.count() === 2,
  keys: (namespace) => [...namespace.keys()].includes('key'),
  values: (namespace) => [...namespace.values()].includes('short'),
  entries: (namespace) => [...namespace].some(([key]) => key === 'key')
})) {
  test(`${call} sees a key to its last millisecond and not one longer`, (t) => {
    const namespace = temporaryNamespace(t)
    namespace.set('other', 'permanent')
    namespace.set('key', 'short', { ttl: 30 })
    readUntilGone(() => read(namespace), namespace.getEntry('key')?.expiresAt ?? 0)
    assert.equal(namespace.get('other'), 'permanent')
  })
}

test('a namespace whose last key has expired is not listed', (t) => {
  const store = temporaryStore(t)
  store.useNamespace('other').set('key', 1)
  store.useNamespace('short').setMany({ a: 1, b: 2 }, { ttl: 30 })
  const { expiresAt } = store.useNamespace('short').getEntry('b') ?? { expiresAt: 0 }
  readUntilGone(() => store.listNamespaces().includes('short'), expiresAt)
  assert.deepEqual(store.listNamespaces(), ['other'])
  assert.equal(store.stats().keys, 1)
  assert.equal(store.stats().namespaces, 1)
})

/** A namespace in which "key" was there and has just expired. */
function withExpired (t, value) {
  const namespace = temporaryNamespace(t)
  namespace.set('key', value, { ttl: 1, metadata: { old: true } })
  readUntilGone(() => namespace.has('key'), namespace.getEntry('key')?.expiresAt ?? 0)
  return namespace
}

test('an expired key counts as missing for whoever writes', (t) => {
  assert.equal(withExpired(t, 1).delete('key'), false)
  assert.equal(withExpired(t, 1).deleteMany(['key']), 0)
  assert.equal(withExpired(t, 1).clear(), 0)
  assert.equal(withExpired(t, 41).increment('key'), 1)
  withExpired(t, 'old').update('key', (...args) => {
    assert.deepEqual(args, [undefined, undefined])
    return 'new'
  })
  assert.ok(withExpired(t, 1).set('key', 2, { ifVersion: 0 }) > 0)
  throwsCode(() => withExpired(t, 1).set('key', 2, { ifVersion: 1 }), 'ERR_CONFLICT')
})

test('a key written after its expiry is a new key', (t) => {
  const namespace = withExpired(t, 'old')
  const before = Date.now()
  namespace.set('key', 'new')
  const entry = namespace.getEntry('key')
  assert.ok(entry.createdAt >= before)
  sameProperties(entry.metadata, {})
  assert.equal(entry.expiresAt, undefined)
})

test('a plain set and setMany make a key permanent; update and increment keep its end', (t) => {
  const namespace = temporaryNamespace(t)
  const end = (key) => namespace.getEntry(key).expiresAt?.getTime()
  namespace.setMany({ a: 1, b: 1, c: 1, d: 1 }, { ttl: hour })
  const was = end('a')
  assert.equal(typeof was, 'number')
  namespace.set('a', 2)
  namespace.setMany({ b: 2 })
  namespace.update('c', () => 2)
  namespace.increment('d')
  assert.deepEqual(['a', 'b', 'c', 'd'].map(end), [undefined, undefined, was, was])
  namespace.update('c', () => 3, { ttl: 2 * hour })
  assert.ok(end('c') > was)
  assert.equal('expiresAt' in namespace.getEntry('a'), false)
})

test('the end survives closing and opening', (t) => {
  const store = temporaryStore(t)
  store.set('long', 1, { ttl: hour })
  store.set('short', 1, { ttl: 50 })
  const ends = (open) => open.useNamespace('default').getEntry('long').expiresAt
  const end = ends(store)
  const shortEnd = store.useNamespace('default').getEntry('short')?.expiresAt ?? 0
  store.close()
  const again = openStore(store.path)
  assert.deepEqual(ends(again), end)
  readUntilGone(() => again.has('short'), shortEnd)
  again.close()
})

test('expired entries give their space back while the store is in use', {
  timeout: 60_000
}, async (t) => {
  const store = temporaryStore(t)
  const batch = Array.from({ length: 200 }, (_, n) => [`key ${n}`, 'x'.repeat(10_000)])
  store.useNamespace('short').setMany(batch, { ttl: 1 })
  const full = store.stats().usedBytes
  assert.ok(full > 2_000_000)
  while (store.stats().usedBytes > full / 10) {
    store.set('other', 1)
    await nextTurn()
  }
  assert.equal(store.useNamespace('short').count(), 0)
})

const noFaketime = spawnSync('faketime', ['--version']).status !== 0 && 'faketime is not installed'

/** What a process whose clock is wrong by `offset` sees. */
async function seenAt (t, offset, args) {
  const env = { ...process.env, DONT_FAKE_MONOTONIC: '1' }
  const [said] = await runAgent(t, 'clock', args, { command: ['faketime', '--exclude-monotonic', '-f', offset], env })
  return said
}

test('an hour later a key of an hour is gone', { skip: noFaketime }, async (t) => {
  const store = temporaryStore(t)
  store.useNamespace('n').set('key', 1, { ttl: hour })
  const before = await seenAt(t, '+59m', { path: store.path })
  assert.deepEqual(before, { keys: ['key'], count: 1, has: true, namespaces: ['n'] })
  const after = await seenAt(t, '+61m', { path: store.path })
  assert.deepEqual(after, { keys: [], count: 0, has: false, namespaces: [] })
})

test('a clock that is set back does not set versions back', { skip: noFaketime }, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  const ahead = await seenAt(t, '+1d', { path: store.path, write: 'key', ttl: hour })
  const { version, expiresAt } = namespace.getEntry('key')
  assert.equal(version, ahead.version)
  assert.ok(expiresAt > Date.now() + 23 * hour, 'judged by the clock of who reads')
  assert.ok(namespace.set('later', 1) > version)
  const behind = await seenAt(t, '-1d', { path: store.path, write: 'key', ttl: hour })
  assert.ok(behind.version > version)
  assert.equal(namespace.has('key'), false, 'its hour was over long ago')
})
