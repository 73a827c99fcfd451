'use strict'

// A matrix: every method with every kind of bad argument. The type, the code and the name of the
// culprit in the message are part of the contract.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { DataStoreError, openStore } = require('..')
const { rejectsCode, temporaryDirectory, temporaryStore, throwsCode } = require('./support/store')

const notStrings = [undefined, null, 5, true, {}, ['key'], Symbol('key'), 1n, () => {}]
const illFormed = ['\ud800', 'a\udc00', '\udc00\ud800', 'x\ud83d']
const notObjects = [5, 'text', true, null, () => {}, [], 1n]

/** Every method that takes one key, called with it. */
const withKey = {
  'namespace.get': ({ namespace }, key) => namespace.get(key),
  'namespace.get with a fallback': ({ namespace }, key) => namespace.get(key, 1),
  'namespace.getEntry': ({ namespace }, key) => namespace.getEntry(key),
  'namespace.has': ({ namespace }, key) => namespace.has(key),
  'namespace.getMany': ({ namespace }, key) => namespace.getMany(['good', key]),
  'namespace.set': ({ namespace }, key) => namespace.set(key, 1),
  'namespace.setMany': ({ namespace }, key) => namespace.setMany([['good', 1], [key, 1]]),
  'namespace.update': ({ namespace }, key) => namespace.update(key, () => 1),
  'namespace.increment': ({ namespace }, key) => namespace.increment(key),
  'namespace.delete': ({ namespace }, key) => namespace.delete(key),
  'namespace.deleteMany': ({ namespace }, key) => namespace.deleteMany(['good', key]),
  'store.get': ({ store }, key) => store.get(key),
  'store.set': ({ store }, key) => store.set(key, 1),
  'store.has': ({ store }, key) => store.has(key),
  'store.delete': ({ store }, key) => store.delete(key)
}

/** Every method that takes options, called with them; and an option of it to misspell. */
const withOptions = {
  openStore: [(_, options) => openStore(options), 'agent'],
  'store.useNamespace': [({ store }, options) => store.useNamespace('n', options), 'schema'],
  'store.listNamespaces': [({ store }, options) => store.listNamespaces(options), 'prefix'],
  'store.set': [({ store }, options) => store.set('k', 1, options), 'metadata'],
  'namespace.set': [({ namespace }, options) => namespace.set('k', 1, options), 'ttl'],
  'namespace.setMany': [({ namespace }, options) => namespace.setMany({ k: 1 }, options), 'ttl'],
  'namespace.update': [
    ({ namespace }, options) => namespace.update('k', () => 1, options), 'ifVersion'],
  'namespace.delete': [({ namespace }, options) => namespace.delete('k', options), 'ifVersion'],
  'namespace.clear': [({ namespace }, options) => namespace.clear(options), 'prefix'],
  'namespace.getAll': [({ namespace }, options) => namespace.getAll(options), 'limit'],
  'namespace.listKeys': [({ namespace }, options) => namespace.listKeys(options), 'reverse'],
  'namespace.keys': [({ namespace }, options) => namespace.keys(options), 'start'],
  'namespace.values': [({ namespace }, options) => namespace.values(options), 'limit'],
  'namespace.entries': [({ namespace }, options) => namespace.entries(options), 'prefix']
}

function setting (t) {
  const store = temporaryStore(t)
  return { store, namespace: store.useNamespace('n') }
}

for (const [method, call] of Object.entries(withKey)) {
  test(`${method} refuses a bad key`, (t) => {
    const context = setting(t)
    for (const key of notStrings) {
      throwsCode(() => call(context, key), 'ERR_INVALID_KEY', { type: TypeError })
    }
    for (const key of ['', ...illFormed]) throwsCode(() => call(context, key), 'ERR_INVALID_KEY')
    const long = ['k'.repeat(1979), '\u00fc'.repeat(990), '\u{1f600}'.repeat(495), 'k'.repeat(1e6)]
    for (const key of long) {
      throwsCode(() => call(context, key), 'ERR_KEY_TOO_LONG', { message: /1,?978/ })
    }
    assert.deepEqual(context.store.listNamespaces(), [], 'nothing was written')
  })
}

for (const [method, [call, option]] of Object.entries(withOptions)) {
  test(`${method} refuses bad options and names the right one`, (t) => {
    const context = setting(t)
    const misspelled = [option.slice(1), option.toUpperCase(), `${option}s`, `${option}x`]
    for (const wrong of misspelled) {
      throwsCode(() => call(context, { [wrong]: undefined }), 'ERR_INVALID_OPTION', {
        message: new RegExp(`\\b${option}\\b`)
      })
    }
    const swapped = option.replace(/(.)(.)$/, '$2$1')
    throwsCode(() => call(context, { [swapped]: 1 }), 'ERR_INVALID_OPTION', {
      message: new RegExp(`${swapped}.*\\b${option}\\b`)
    })
    for (const options of notObjects) {
      if (method === 'openStore' && typeof options === 'string') continue
      throwsCode(() => call(context, options), 'ERR_INVALID_OPTION', { type: TypeError })
    }
    if (method !== 'openStore') call(context, undefined)
  })
}

test('{ tll: 5 } is answered with "ttl"', (t) => {
  const { namespace } = setting(t)
  const expected = { message: /tll.*ttl/ }
  throwsCode(() => namespace.set('k', 1, { tll: 5 }), 'ERR_INVALID_OPTION', expected)
  assert.equal(namespace.has('k'), false)
})

test('setMany has no ifVersion: many keys have many versions', (t) => {
  const { namespace } = setting(t)
  throwsCode(() => namespace.setMany({ k: 1 }, { ifVersion: 0 }), 'ERR_INVALID_OPTION')
})

test('options of a wrong type or range are refused', (t) => {
  const { namespace } = setting(t)
  const set = (options) => () => namespace.set('k', 1, options)
  const path = temporaryDirectory(t)
  const cases = [
    [TypeError, [set({ ttl: '5' }), set({ ttl: null }), set({ ttl: 5n })]],
    [TypeError, [set({ ttl: new Date() })]],
    [RangeError, [set({ ttl: -1 }), set({ ttl: NaN }), set({ ttl: Infinity })]],
    [TypeError, [set({ ifVersion: '5' }), set({ ifVersion: null }), set({ ifVersion: 5n })]],
    [RangeError, [set({ ifVersion: -1 }), set({ ifVersion: 1.5 }), set({ ifVersion: 2 ** 53 })]],
    [RangeError, [set({ ifVersion: NaN }), () => namespace.delete('k', { ifVersion: -1 })]],
    [TypeError, [() => namespace.delete('k', { ifVersion: '1' })]],
    [TypeError, [() => namespace.listKeys({ prefix: 5 }), () => namespace.clear({ prefix: 5 })]],
    [TypeError, [() => namespace.listKeys({ end: {} }), () => namespace.listKeys({ limit: '5' })]],
    [TypeError, [() => namespace.listKeys({ reverse: 'yes' })]],
    [RangeError, [() => namespace.listKeys({ limit: -1 }), () => namespace.keys({ limit: 0.5 })]],
    [RangeError, [() => namespace.keys({ limit: NaN })]],
    [TypeError, [() => openStore({ path: 5 }), () => openStore({ path: null })]],
    [TypeError, [() => openStore({ path, agent: 5 }), () => openStore({ path, readOnly: 1 })]],
    [TypeError, [() => openStore({ path, maxSize: '1' })]],
    [RangeError, [() => openStore({ path, maxSize: 1 }), () => openStore({ path, maxSize: -1 })]],
    [RangeError, [() => openStore({ path, maxSize: NaN }), () => openStore({ path, maxSize: 1.5 })]]
  ]
  for (const [type, calls] of cases) {
    for (const call of calls) throwsCode(call, 'ERR_INVALID_OPTION', { type })
  }
  assert.equal(namespace.has('k'), false)
})

test('an undefined option is an option left out', (t) => {
  const { namespace } = setting(t)
  const none = { ttl: undefined, metadata: undefined }
  assert.ok(namespace.set('k', 1, none) > 0)
  const everything = { prefix: undefined, start: undefined, end: undefined, reverse: undefined }
  assert.deepEqual(namespace.listKeys({ ...everything, limit: undefined }), ['k'])
})

test('ifVersion: undefined is refused, for it asks for a check', (t) => {
  const { store, namespace } = setting(t)
  const options = { ifVersion: namespace.getEntry('k')?.version }
  const expected = { type: TypeError, message: /give 0 for 'there must be no entry'/ }
  for (const call of [
    () => namespace.set('k', 1, options),
    () => namespace.update('k', () => 1, options),
    () => namespace.delete('k', options),
    () => store.set('k', 1, options),
    () => store.delete('k', options)
  ]) throwsCode(call, 'ERR_INVALID_OPTION', expected)
  namespace.set('k', 1)
  const entry = namespace.getEntry('k')
  throwsCode(() => namespace.set('k', 2, { ifVersion: entry }), 'ERR_INVALID_OPTION', {
    message: /give entry\.version/
  })
  assert.equal(namespace.get('k'), 1)
})

test('the short forms of the store take the options of the long ones', (t) => {
  const { store } = setting(t)
  const version = store.set('k', 1, { ifVersion: 0 })
  throwsCode(() => store.delete('k', { ifVersion: version + 999 }), 'ERR_CONFLICT')
  throwsCode(() => store.delete('k', { foo: 1 }), 'ERR_INVALID_OPTION')
  throwsCode(() => store.set('k', 2, { ifVersion: 0 }), 'ERR_CONFLICT')
  throwsCode(() => store.has('k', { foo: 1 }), 'ERR_INVALID_OPTION')
  assert.equal(store.get('k'), 1)
  assert.equal(store.delete('k', { ifVersion: version }), true)
})

test('options where a call takes none are refused', (t) => {
  const { namespace } = setting(t)
  namespace.set('k', 1)
  for (const call of [
    () => namespace.increment('k', 1, { ttl: 5000 }),
    () => namespace.deleteMany(['k'], { ifVersion: 1 }),
    () => namespace.has('k', { prefix: 'k' })
  ]) throwsCode(call, 'ERR_INVALID_OPTION', { type: TypeError, message: /takes no options/ })
  assert.equal(namespace.get('k'), 1)
  assert.deepEqual(['k', 'z'].filter(namespace.has, namespace), ['k'], 'an index is no option')
})

test('a bare value in the place of options is answered with the option', (t) => {
  const { store, namespace } = setting(t)
  const prefix = { message: /did you mean \{ prefix: "a" \}/ }
  const listing = [(at) => namespace.listKeys(at), (at) => namespace.clear(at),
    (at) => namespace.entries(at), (at) => store.listNamespaces(at)]
  for (const call of listing) throwsCode(() => call('a'), 'ERR_INVALID_OPTION', prefix)
  throwsCode(() => namespace.set('k', 1, 60), 'ERR_INVALID_OPTION', {
    message: /did you mean \{ ttl: 60 \} \(milliseconds\)/
  })
})

test('a key that is no string is named for what it is', (t) => {
  const { namespace } = setting(t)
  for (const [key, message] of [
    [5, /not a number/], [['a'], /not an array/], [null, /not null/], [new Date(), /not a date/],
    [Promise.resolve('k'), /not a promise \(await it first\)/]
  ]) {
    throwsCode(() => namespace.getMany([key]), 'ERR_INVALID_KEY', { type: TypeError, message })
    throwsCode(() => namespace.set(key, 1, {}), 'ERR_INVALID_KEY', { type: TypeError, message })
  }
})

test('an error of setMany names the key', (t) => {
  const { namespace } = setting(t)
  throwsCode(() => namespace.setMany({ ok: 1, bad: { run: [() => 1] } }), 'ERR_INVALID_VALUE', {
    message: /^value\.run\[0\] of "bad" is a function/
  })
  throwsCode(() => namespace.setMany({ ok: 1, bad: undefined }), 'ERR_INVALID_VALUE', {
    message: /of "bad" is undefined/
  })
  assert.equal(namespace.count(), 0)
})

test('what stands on Object.prototype is no option', (t) => {
  const { namespace } = setting(t)
  t.after(() => { for (const name of ['ttl', 'limit']) delete Object.prototype[name] })
  const one = { value: 1, configurable: true }
  for (const name of ['ttl', 'limit']) Reflect.defineProperty(Object.prototype, name, one)
  namespace.set('a', 1, {})
  namespace.setMany({ b: 1, c: 1 })
  assert.equal(namespace.getEntry('a').expiresAt, undefined)
  assert.deepEqual(namespace.listKeys(), ['a', 'b', 'c'])
})

test('bad paths are refused', () => {
  throwsCode(() => openStore(''), 'ERR_INVALID_OPTION', { message: /path/ })
  throwsCode(() => openStore({ path: 'a\u0000b' }), 'ERR_INVALID_OPTION', { message: /path/ })
})

test('bad namespace names are refused', (t) => {
  const { store } = setting(t)
  for (const name of notStrings) {
    throwsCode(() => store.useNamespace(name), 'ERR_INVALID_NAMESPACE', { type: TypeError })
  }
  const controls = ['\u0000', 'a\u0001', '\n', 'a\tb', '\u007f', 'a\u0085', '\u009f']
  for (const name of ['', ...controls, ...illFormed, 'n'.repeat(513), '\u00fc'.repeat(257)]) {
    throwsCode(() => store.useNamespace(name), 'ERR_INVALID_NAMESPACE')
  }
})

test('lists that are no lists are refused', (t) => {
  const { namespace } = setting(t)
  for (const list of [undefined, null, 5, true, {}, () => {}]) {
    const get = () => namespace.getMany(list)
    const remove = () => namespace.deleteMany(list)
    for (const call of [get, remove]) {
      assert.throws(call, (error) => error instanceof TypeError && error instanceof DataStoreError)
    }
  }
  for (const entries of [undefined, null, 5, true, [5], [null], ['ab'], [['key']], [[]]]) {
    assert.throws(
      () => namespace.setMany(entries),
      (error) => error instanceof DataStoreError,
      `${JSON.stringify(entries)}`)
  }
  assert.equal(namespace.count(), 0)
})

test('update without a function is a TypeError', (t) => {
  const { namespace } = setting(t)
  for (const fn of [undefined, null, 5, 'fn', {}]) {
    assert.throws(
      () => namespace.update('k', fn),
      (error) => error instanceof TypeError && error instanceof DataStoreError)
  }
})

test('increment by what is no finite number is refused', (t) => {
  const { namespace } = setting(t)
  for (const by of ['1', null, {}, 1n, true]) {
    throwsCode(() => namespace.increment('n', by), 'ERR_INVALID_OPTION', { type: TypeError })
  }
  for (const by of [NaN, Infinity, -Infinity]) {
    throwsCode(() => namespace.increment('n', by), 'ERR_INVALID_OPTION', { type: RangeError })
  }
  assert.equal(namespace.has('n'), false)
})

test('a value that cannot be stored is refused with the place in it', (t) => {
  const { namespace } = setting(t)
  const circular = { a: [{}] }
  circular.a[0].back = circular
  class Task { constructor () { this.title = 'x' } }
  const cases = [
    [undefined, /undefined/],
    [() => {}, /function/i],
    [Symbol('s'), /symbol/i],
    [new Task(), /Task|class/],
    [Promise.resolve(), /Promise/],
    [new WeakMap(), /WeakMap/],
    [circular, /circular.*a.*0.*back|a.*0.*back.*circular/is],
    [{ list: [1, { fn: () => {} }] }, /list.*1.*fn/],
    [{ deep: { task: new Task() } }, /deep.*task/]
  ]
  for (const [value, message] of cases) {
    for (const call of [
      () => namespace.set('k', value),
      () => namespace.setMany([['k', value]]),
      () => value === undefined || namespace.update('k', () => value)
    ]) {
      if (value === undefined && `${call}`.includes('update')) continue
      throwsCode(call, 'ERR_INVALID_VALUE', { type: TypeError, message })
    }
  }
  assert.equal(namespace.count(), 0)
})

test('backup rejects rather than throws', async (t) => {
  const { store } = setting(t)
  for (const path of [undefined, null, 5, '']) {
    await rejectsCode(store.backup(path), 'ERR_INVALID_OPTION', { message: /path/ })
  }
  const path = `${temporaryDirectory(t)}/copy`
  await rejectsCode(store.backup(path, { compct: true }), 'ERR_INVALID_OPTION', {
    message: /compct.*compact/
  })
  await rejectsCode(store.backup(path, { compact: 'yes' }), 'ERR_INVALID_OPTION')
})

test('errors have a name, a stack, a code, and show it as JSON', (t) => {
  const { namespace } = setting(t)
  namespace.set('k', 1)
  const error = throwsCode(() => namespace.set('k', 2, { ifVersion: 0 }), 'ERR_CONFLICT')
  assert.equal(error.name, 'DataStoreError')
  assert.equal(error.retryable, true)
  assert.match(error.stack, /50-errors/)
  assert.match(JSON.stringify(error), /ERR_CONFLICT/)
  const wrong = throwsCode(() => namespace.get(5), 'ERR_INVALID_KEY')
  assert.equal(wrong.retryable, false)
  assert.equal(new Error('other') instanceof DataStoreError, false)
  assert.equal(null instanceof DataStoreError, false)
})
