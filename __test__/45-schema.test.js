'use strict'

// Standard Schemas written by hand: the interface is all the store knows.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { temporaryStore, throwsCode } = require('./support/store')

const schemaOf = (validate) => ({ '~standard': { version: 1, vendor: 'test', validate } })

/** Takes { title, done? } and gives { title (trimmed), done }. */
const task = schemaOf((value) => {
  if (typeof value?.title !== 'string') {
    return { issues: [{ message: 'expected a string', path: ['title'] }] }
  }
  return { value: { title: value.title.trim(), done: value.done ?? false } }
})

const small = schemaOf((value) =>
  value <= 3 ? { value } : { issues: [{ message: 'too big' }] })

const tasksOf = (t) => temporaryStore(t).useNamespace('tasks', { schema: task })

test('the schema\'s output is what is stored and returned', (t) => {
  const tasks = tasksOf(t)
  tasks.set('t1', { title: ' wash ' })
  assert.deepEqual(tasks.get('t1'), { title: 'wash', done: false })
  assert.deepEqual(
    tasks.update('t1', (value) => ({ title: `${value.title} up `, done: true })),
    { title: 'wash up', done: true })
  tasks.setMany({ t2: { title: ' a ' }, t3: { title: 'b' } })
  assert.deepEqual(tasks.get('t2'), { title: 'a', done: false })
})

test('a refused value throws ERR_SCHEMA with message and path, and nothing is written', (t) => {
  const tasks = tasksOf(t)
  const expected = { message: /title.*expected a string|expected a string.*title/s }
  tasks.set('t1', { title: 'kept' })
  throwsCode(() => tasks.set('t1', { title: 5 }), 'ERR_SCHEMA', expected)
  throwsCode(() => tasks.update('t1', () => ({})), 'ERR_SCHEMA', expected)
  throwsCode(() => tasks.setMany([['t2', { title: 'x' }], ['t3', {}]]), 'ERR_SCHEMA', expected)
  assert.deepEqual(tasks.listKeys(), ['t1'])
  assert.equal(tasks.get('t1').title, 'kept')
})

test('path segments may be objects', (t) => {
  const schema = schemaOf(() => ({
    issues: [{ message: 'wrong', path: [{ key: 'list' }, 0, { key: 'name' }] }]
  }))
  const namespace = temporaryStore(t).useNamespace('n', { schema })
  throwsCode(() => namespace.set('k', 1), 'ERR_SCHEMA', { message: /list.*0.*name/ })
})

test('update may delete under a schema', (t) => {
  const tasks = tasksOf(t)
  tasks.set('t1', { title: 'x' })
  tasks.update('t1', () => undefined)
  assert.equal(tasks.has('t1'), false)
})

test('increment is checked too', (t) => {
  const namespace = temporaryStore(t).useNamespace('n', { schema: small })
  for (const expected of [1, 2, 3]) assert.equal(namespace.increment('n'), expected)
  throwsCode(() => namespace.increment('n'), 'ERR_SCHEMA', { message: /too big/ })
  assert.equal(namespace.get('n'), 3)
})

test('increment of what is no number has the same text with a schema and without', (t) => {
  const store = temporaryStore(t)
  const plain = store.useNamespace('n')
  const checked = store.useNamespace('n', { schema: small })
  const values = [
    'text', true, null, { a: 1 }, [1], new Date(0), new Map(), new Set(), 1n,
    new Uint8Array(1), Buffer.from('x'), new Float32Array(1), new ArrayBuffer(1)
  ]
  for (const value of values) {
    plain.set('k', value)
    const { message } = throwsCode(() => plain.increment('k'), 'ERR_NOT_A_NUMBER')
    const found = throwsCode(() => checked.increment('k'), 'ERR_NOT_A_NUMBER').message
    assert.equal(found, message)
  }
  const errors = [plain, checked].map((namespace) => {
    namespace.set('k', 1)
    plain.set('k', Number.MAX_VALUE)
    return throwsCode(() => namespace.increment('k', Number.MAX_VALUE), 'ERR_INVALID_OPTION')
  })
  assert.equal(errors[0].message, errors[1].message)
  assert.equal(errors[0].name, errors[1].name)
})

test('reads are not checked: another view may have written anything', (t) => {
  const store = temporaryStore(t)
  store.useNamespace('tasks').set('t1', 'no task')
  assert.equal(store.useNamespace('tasks', { schema: task }).get('t1'), 'no task')
})

test('an asynchronous schema is a clear error', (t) => {
  const store = temporaryStore(t)
  const rejecting = schemaOf(async () => { throw new Error('nobody hears this') })
  for (const schema of [schemaOf(async (value) => ({ value })), rejecting]) {
    const namespace = store.useNamespace('n', { schema })
    throwsCode(() => namespace.set('k', 1), 'ERR_SCHEMA', { message: /async|synchronous|promise/i })
    assert.equal(namespace.has('k'), false)
  }
})

test('what is not a Standard Schema is refused where it is given', (t) => {
  const store = temporaryStore(t)
  const incomplete = [{ '~standard': {} }, { '~standard': { version: 1 } }]
  for (const schema of [{}, 5, 'schema', null, ...incomplete]) {
    const expected = { type: TypeError, message: /schema/i }
    throwsCode(() => store.useNamespace('n', { schema }), 'ERR_INVALID_OPTION', expected)
  }
  const newer = { '~standard': { version: 2, vendor: 'test', validate: () => ({ value: 1 }) } }
  throwsCode(() => store.useNamespace('n', { schema: newer }), 'ERR_INVALID_OPTION')
  assert.ok(store.useNamespace('n', { schema: undefined }))
})

test('a schema that is a function works too', (t) => {
  const schema = Object.assign(() => {}, task)
  const tasks = temporaryStore(t).useNamespace('tasks', { schema })
  tasks.set('t1', { title: ' x ' })
  assert.equal(tasks.get('t1').title, 'x')
})

test('what the schema itself throws comes through, and nothing is written', (t) => {
  const mine = new Error('mine')
  const schema = schemaOf(() => { throw mine })
  const namespace = temporaryStore(t).useNamespace('n', { schema })
  assert.throws(() => namespace.set('k', 1), mine)
  assert.equal(namespace.has('k'), false)
})

test('output that cannot be stored is refused like any value', (t) => {
  const schema = schemaOf(() => ({ value: () => {} }))
  const namespace = temporaryStore(t).useNamespace('n', { schema })
  throwsCode(() => namespace.set('k', 1), 'ERR_INVALID_VALUE')
})
