'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { openStore } = require('..')
const { sameProperties, temporaryNamespace, temporaryStore, throwsCode } =
  require('./support/store')

test('an entry carries key, value, version, times, writers and metadata', (t) => {
  const store = temporaryStore(t, { agent: 'writer' })
  const namespace = store.useNamespace('n')
  const before = Date.now()
  const version = namespace.set('key', { a: 1 }, { metadata: { source: 'cli' } })
  const after = Date.now()
  const entry = namespace.getEntry('key')
  assert.equal(entry.key, 'key')
  assert.deepEqual(entry.value, { a: 1 })
  assert.equal(entry.version, version)
  assert.ok(entry.createdAt instanceof Date)
  assert.ok(entry.createdAt >= before && entry.createdAt <= after)
  assert.deepEqual(entry.updatedAt, entry.createdAt)
  assert.equal(entry.createdBy, 'writer')
  assert.equal(entry.updatedBy, 'writer')
  sameProperties(entry.metadata, { source: 'cli' })
  const names = ['createdAt', 'createdBy', 'key', 'metadata', 'updatedAt', 'updatedBy', 'value']
  assert.deepEqual(Object.keys(entry).sort(), [...names, 'version'])
})

test('an entry without metadata has an empty object', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.set('key', 1)
  sameProperties(namespace.getEntry('key').metadata, {})
  assert.equal(namespace.getEntry('missing'), undefined)
})

test('the creator stays, the last writer changes', (t) => {
  const store = temporaryStore(t, { agent: 'first' })
  const other = openStore({ path: store.path, agent: 'second' })
  store.useNamespace('n').set('key', 1)
  const created = store.useNamespace('n').getEntry('key')
  for (const write of [
    (namespace) => namespace.set('key', 2),
    (namespace) => namespace.setMany({ key: 3 }),
    (namespace) => namespace.update('key', () => 4),
    (namespace) => namespace.increment('key')
  ]) {
    store.useNamespace('n').set('key', 0)
    write(other.useNamespace('n'))
    const entry = store.useNamespace('n').getEntry('key')
    assert.equal(entry.createdBy, 'first')
    assert.equal(entry.updatedBy, 'second')
    assert.deepEqual(entry.createdAt, created.createdAt)
    assert.ok(entry.updatedAt >= created.updatedAt)
  }
  store.useNamespace('n').delete('key')
  other.useNamespace('n').set('key', 1)
  assert.equal(store.useNamespace('n').getEntry('key').createdBy, 'second')
  other.close()
})

test('metadata are merged one level deep, and null removes a field', (t) => {
  const namespace = temporaryNamespace(t)
  const merged = (metadata) => {
    namespace.set('key', 1, { metadata })
    return namespace.getEntry('key').metadata
  }
  sameProperties(merged({ a: 1, b: { x: 1 } }), { a: 1, b: { x: 1 } })
  sameProperties(merged({ b: { y: 2 }, c: [3] }), { a: 1, b: { y: 2 }, c: [3] })
  sameProperties(merged({ a: null, missing: null }), { b: { y: 2 }, c: [3] })
  sameProperties(merged({}), { b: { y: 2 }, c: [3] })
  namespace.set('key', 2)
  sameProperties(namespace.getEntry('key').metadata, { b: { y: 2 }, c: [3] })
  sameProperties(merged({ b: null, c: null }), {})
})

test('null inside a field is a value', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.set('key', 1, { metadata: { a: { inner: null }, b: [null] } })
  sameProperties(namespace.getEntry('key').metadata, { a: { inner: null }, b: [null] })
})

test('metadata keep text, numbers, booleans, and names like __proto__', (t) => {
  const namespace = temporaryNamespace(t)
  const metadata = JSON.parse('{"__proto__": 1, "n": -1.5, "b": false, "": "empty"}')
  metadata['\u00fc'] = '\u{1f600}'
  namespace.set('key', 1, { metadata })
  const read = namespace.getEntry('key').metadata
  sameProperties(read, metadata)
  assert.ok(Object.prototype.hasOwnProperty.call(read, '__proto__'))
  namespace.set('key', 1, { metadata: JSON.parse('{"__proto__": null}') })
  assert.equal(Object.keys(namespace.getEntry('key').metadata).includes('__proto__'), false)
})

test('metadata go with their entry', (t) => {
  const namespace = temporaryNamespace(t)
  namespace.set('key', 1, { metadata: { a: 1 } })
  namespace.delete('key')
  namespace.set('key', 1)
  sameProperties(namespace.getEntry('key').metadata, {})
  namespace.set('other', 1, { metadata: { a: 1 } })
  namespace.clear()
  namespace.set('other', 1)
  sameProperties(namespace.getEntry('other').metadata, {})
})

test('metadata that are not JSON are refused, and nothing is written', (t) => {
  const namespace = temporaryNamespace(t)
  const circular = {}
  circular.self = circular
  for (const metadata of [5, 'text', [], () => {}, new Map(), null]) {
    const set = () => namespace.set('key', 1, { metadata })
    throwsCode(set, 'ERR_INVALID_OPTION', { type: TypeError })
  }
  for (const inner of [1n, () => {}, Symbol('s'), circular]) {
    throwsCode(() => namespace.set('key', 1, { metadata: { inner } }), 'ERR_INVALID_OPTION')
  }
  assert.equal(namespace.has('key'), false)
})

test('metadata refuse what JSON would change without a word, and say what to give', (t) => {
  const namespace = temporaryNamespace(t)
  class Source { constructor () { this.path = 'x' } }
  const branching = {}
  branching.left = branching.right = branching
  for (const [inner, message] of [
    [new Map([[1, 2]]), /instance of Map \(inner\).*Object\.fromEntries/],
    [new Set([1]), /instance of Set.*array/],
    [/x/, /instance of RegExp/],
    [new Source(), /instance of Source.*plain/],
    [Buffer.from('x'), /instance of Buffer.*base64/],
    [new Date(), /instance of Date.*toISOString/],
    [Promise.resolve(1), /Promise/],
    [Object(1), /instance of Number/],
    [NaN, /NaN.*null removes/],
    [undefined, /undefined.*null removes/],
    [{ toJSON: () => 'other' }, /a function \(toJSON\)/],
    [[1, new Date()], /\[1\].*toISOString/],
    [[1, undefined], /\[1\]/],
    [branching, /circular/],
    ['\ud800', /lone surrogate/]
  ]) {
    const set = () => namespace.set('key', 1, { metadata: { inner } })
    throwsCode(set, 'ERR_INVALID_OPTION', { message })
    throwsCode(() => namespace.setMany({ key: 1 }, { metadata: { inner } }), 'ERR_INVALID_OPTION')
  }
  throwsCode(() => namespace.set('key', 1, { metadata: { toJSON: () => ({}) } }),
    'ERR_INVALID_OPTION')
  assert.equal(namespace.has('key'), false)
  const metadata = { path: 'C:\\udata', pair: '\ud83d\ude00', list: [null] }
  namespace.set('key', 1, { metadata })
  sameProperties(namespace.getEntry('key').metadata, metadata)
})

test('metadata read each property once', (t) => {
  const namespace = temporaryNamespace(t)
  let reads = 0
  namespace.set('key', 1, { metadata: { get at () { return reads++ === 0 ? 'text' : new Map() } } })
  sameProperties(namespace.getEntry('key').metadata, { at: 'text' })
})

test('metadata have a limit of 64 KiB, after merging', (t) => {
  const namespace = temporaryNamespace(t)
  const exactly = (bytes) => ({ text: 'x'.repeat(bytes - '{"text":""}'.length) })
  namespace.set('key', 1, { metadata: exactly(65_536) })
  assert.equal(JSON.stringify(namespace.getEntry('key').metadata).length, 65_536)
  throwsCode(() => namespace.set('k', 1, { metadata: exactly(65_537) }), 'ERR_VALUE_TOO_LARGE')
  throwsCode(() => namespace.set('key', 2, { metadata: { more: 1 } }), 'ERR_VALUE_TOO_LARGE')
  assert.equal(namespace.get('key'), 1)
})

test('a long agent name is cut at the end of a character', (t) => {
  const store = temporaryStore(t, { agent: '\u00fc'.repeat(100) })
  store.set('key', 1)
  assert.equal(store.useNamespace('default').getEntry('key').createdBy, '\u00fc'.repeat(64))
})
