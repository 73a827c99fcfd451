'use strict'

// store.async within one process: each method against its synchronous twin, order, failures,
// transactions that run at once.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { once } = require('node:events')
const { Worker } = require('node:worker_threads')
const { openStore } = require('..')
const { runAgent } = require('./support/agents')
const { rejectsCode, temporaryDirectory, temporaryStore } = require('./support/store')

/** What a call gives: its result, or what is told of its error. */
async function outcome (call) {
  try {
    const result = await call()
    return { result: isIterator(result) ? await collected(result) : plain(result) }
  } catch (error) {
    return { name: error.name, code: error.code, message: error.message, cause: error.cause }
  }
}

function isIterator (result) {
  return typeof result?.next === 'function'
}

async function collected (iterator) {
  const items = []
  for await (const item of iterator) items.push(item)
  return items
}

/** Without what differs between two runs: times, and ids that were made at random. */
function plain (result) {
  const json = JSON.stringify(result, (key, value) => key.endsWith('At') ? undefined : value)
  return json === undefined ? undefined : JSON.parse(json)
}

const big = 'k'.repeat(2000)
const positive = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => value > 0 ? { value } : { issues: [{ message: 'not positive' }] }
  }
}
const withGetter = { get tll () { throw new Error('mine') } }
const failing = { get prefix () { throw new Error('mine') } }

/** Calls of a namespace, in order. */
const NAMESPACE_CALLS = [
  ['count'], ['get', 'a'], ['get', 'a', 5], ['getEntry', 'a'], ['set', 'a', 1],
  ['set', 'b', { deep: [1, null, 'x'] }, { ttl: 100_000, metadata: { by: 'me' } }],
  ['get', 'a', 5], ['get', 'b'], ['getEntry', 'b'], ['has', 'a'], ['has', 'z'],
  ['set', 'a', 2, { ifVersion: 0 }], ['set', 'a', 2, { ifVersion: undefined }],
  ['set', 'new', 2, { ifVersion: 0 }], ['set', '', 1], ['set', big, 1], ['set', 5, 1],
  ['set', 'a', undefined], ['set', 'a', () => {}], ['set', 'a', Promise.resolve()],
  ['set', 'a', 1, { tll: 5 }], ['set', 'a', 1, { ttl: -5 }], ['set', 'a', 1, 5],
  ['set', 'a', 1, { metadata: { at: new Date(0) } }], ['set', 'a\ud800', 1],
  ['setMany', { x: 1, y: 2, z: 3 }], ['setMany', []], ['setMany', [['p', 1], ['p', 2]]],
  ['setMany', { ok: 1, bad: undefined }], ['setMany', 5], ['setMany', [['one']]],
  ['setMany', [['', 1]]], ['setMany', { q: 1 }, { ttl: 0.5 }], ['has', 'ok'],
  ['increment', 'n'], ['increment', 'n', 4], ['increment', 'b'], ['increment', 'n', 'x'],
  ['increment', 'n', Infinity], ['increment', 'n', 1, {}], ['increment', '', 1],
  ['update', 'n', (n) => n * 2], ['update', 'none', (n) => n], ['update', 'x', () => undefined],
  ['update', 'y', (value, entry) => ({ value, entry: entry.version }), { ttl: 5000 }],
  ['update', 'n', () => { throw new TypeError('mine') }], ['update', 'n', 5],
  ['update', 5, () => 1],
  ['update', 'n', (n) => n, { ifVersion: 1 }], ['update', 'n', () => () => {}],
  ['getMany', ['a', 'n', 'none']], ['getMany', 'a'], ['getMany', [5]], ['getAll'],
  ['getAll', { prefix: 'a' }], ['getAll', { start: 'b', end: 'o', reverse: true, limit: 2 }],
  ['getAll', { prefx: 'a' }], ['listKeys'], ['listKeys', { limit: -1 }], ['listKeys', 'a'],
  ['keys'], ['keys', { reverse: true }], ['keys', { revers: true }], ['values', { limit: 2 }],
  ['entries', { start: 'n' }], ['entries', failing],
  ['waitFor', 'a'], ['waitFor', 'absent', { timeout: 0 }], ['waitFor', 5],
  ['waitFor', 'a', { signal: AbortSignal.abort(new Error('mine')) }],
  ['watch', { key: 'a', prefix: 'a' }], ['watch', { kee: 'a' }],
  ['watch', { signal: AbortSignal.abort() }],
  ['delete', 'a', { ifVersion: 1 }], ['delete', 'a'], ['delete', 'a'], ['delete', 5],
  ['delete', 'b', withGetter], ['deleteMany', ['x', 'y', 'none']], ['deleteMany', []],
  ['deleteMany', 'x'], ['deleteMany', ['b'], {}], ['clear', { prefix: 'z' }], ['clear', 'z'],
  ['clear'], ['clear'], ['count']
]

test('each method of a namespace does what its synchronous twin does', async (t) => {
  const [here, there] = [temporaryStore(t, { agent: 'me' }), temporaryStore(t, { agent: 'me' })]
  const [sync, later] = [here.useNamespace('n'), there.async.useNamespace('n')]
  assert.equal(later.name, sync.name)
  for (const [method, ...args] of NAMESPACE_CALLS) {
    const expected = await outcome(() => sync[method](...args))
    const returned = later[method](...args)
    assert.deepEqual(await outcome(() => returned), expected, `${method} ${String(args)}`)
  }
  const called = new Set(NAMESPACE_CALLS.map(([method]) => method))
  assert.deepEqual(methodsOf(sync).filter((method) => !called.has(method)), [])
  assert.deepEqual(methodsOf(later), methodsOf(sync))
})

/** Its own ones and those that it inherits. */
function methodsOf (object) {
  const names = new Set()
  let prototype = Object.getPrototypeOf(object)
  for (; prototype !== Object.prototype; prototype = Object.getPrototypeOf(prototype)) {
    for (const name of Object.getOwnPropertyNames(prototype)) names.add(name)
  }
  names.delete('constructor')
  return [...names].sort()
}

test('a schema checks what is written with promises, too', async (t) => {
  const [here, there] = [temporaryStore(t), temporaryStore(t)]
  const sync = here.useNamespace('n', { schema: positive })
  const later = there.async.useNamespace('n', { schema: positive })
  for (const [method, ...args] of [
    ['set', 'a', 1], ['set', 'a', -1], ['setMany', { b: 1, c: -1 }], ['setMany', { b: 1, c: 1 }],
    ['update', 'a', (a) => a + 1], ['update', 'a', (a) => -a], ['increment', 'a', 5],
    ['increment', 'a', -50], ['increment', 'new'], ['getAll']
  ]) {
    const expected = await outcome(() => sync[method](...args))
    assert.deepEqual(await outcome(() => later[method](...args)), expected, `${method} ${args}`)
  }
})

test('wrong names and options of a namespace or a queue reject each call', async (t) => {
  const store = temporaryStore(t)
  for (const [name, options] of [['', undefined], [5, undefined], ['a\0', undefined],
    ['n', { shcema: positive }], ['n', { schema: 5 }], ['\ud800', undefined]]) {
    const expected = await outcome(() => store.useNamespace(name, options))
    const namespace = store.async.useNamespace(name, options)
    assert.ok(expected.code)
    for (const call of [
      () => namespace.get('k'), () => namespace.set('k', 1), () => namespace.keys(),
      () => namespace.watch(), () => namespace.waitFor('k'), () => namespace.setMany({ k: 1 }),
      () => namespace.update('k', () => 1), () => namespace.increment('k')
    ]) assert.deepEqual(await outcome(call), expected, String(call))
  }
  for (const [name, options] of [['', undefined], [5, undefined], ['q', { leas: 5 }],
    ['q', { lease: 0 }], ['q', { maxAttempts: 0 }]]) {
    const expected = await outcome(() => store.useQueue(name, options))
    const queue = store.async.useQueue(name, options)
    assert.ok(expected.code)
    for (const call of [() => queue.push(1), () => queue.pushMany([]), () => queue.claim(),
      () => queue.consume(), () => queue.drained(), () => queue.stats(), () => queue.clear()]) {
      assert.deepEqual(await outcome(call), expected, String(call))
    }
  }
})

/** Calls of a queue, in order. A function is called with the task that was claimed last. */
const QUEUE_CALLS = [
  ['stats'], ['claim'], ['push', 'a', { id: 'a' }], ['push', 'a', { id: 'a' }],
  ['push', undefined], ['push', () => {}], ['push', 1, { id: '' }], ['push', 1, { dely: 5 }],
  ['push', 'late', { id: 'late', delay: 100_000 }], ['pushMany', 5], ['pushMany', [1, undefined]],
  ['pushMany', [1], {}], ['pushMany', []], ['push', 'b', { id: 'b' }], ['claim'],
  (task) => task.renew(5000), (task) => task.renew(0), (task) => task.complete(() => {}),
  (task) => task.complete(1, {}), (task) => task.complete({ r: 1 }), (task) => task.complete(),
  (task) => task.fail('late'), (task) => task.renew(), ['claim'],
  (task) => task.fail(new Error('why'), { retryIn: -1 }), (task) => task.fail(new Error('why')),
  ['claim'], (task) => task.fail('again'), ['claim'], ['stats'], ['get', 'a'], ['get', 'none'],
  ['get', 5], ['list'], ['list', { status: 'dead' }], ['list', { status: 'done' }], ['results'],
  ['retryDead'], ['list', { limit: 1 }], ['drained', { signal: AbortSignal.abort(Error('x')) }],
  ['consume', { signal: AbortSignal.abort() }], ['consume', { signl: 5 }], ['clear'], ['drained'],
  ['stats']
]

test('each method of a queue and of a task does what its synchronous twin does', async (t) => {
  const [here, there] = [temporaryStore(t, { agent: 'me' }), temporaryStore(t, { agent: 'me' })]
  const options = { maxAttempts: 2 }
  const [sync, later] = [here.useQueue('q', options), there.async.useQueue('q', options)]
  const tasks = {}
  const run = async (queue, which, step) => {
    if (typeof step === 'function') return step(tasks[which])
    const [method, ...args] = step
    const result = await queue[method](...args)
    if (method === 'claim' && result !== undefined) tasks[which] = result
    return result
  }
  for (const step of QUEUE_CALLS) {
    const expected = await outcome(() => run(sync, 'sync', step))
    const actual = await outcome(() => run(later, 'later', step))
    assert.deepEqual(actual, expected, String(step))
  }
  assert.deepEqual(methodsOf(later), methodsOf(sync))
  assert.deepEqual(methodsOf(tasks.later), methodsOf(tasks.sync))
})

test('each method inside a transaction does what its synchronous twin does', async (t) => {
  const [here, there] = [temporaryStore(t), temporaryStore(t)]
  const calls = [
    ['set', 'a', 1], ['get', 'a'], ['get', 'none', 5], ['getEntry', 'none'], ['has', 'a'],
    ['set', '', 1], ['set', 'a', undefined], ['set', 'a', 1, { tll: 1 }],
    ['setMany', { x: 1, y: 2 }], ['setMany', 5], ['increment', 'n', 3], ['increment', 'n'],
    ['increment', 'n', 'x'], ['increment', 'n', 1, {}], ['getMany', ['a', 'n']], ['getMany', 5],
    ['getAll'], ['getAll', { prefx: 1 }], ['listKeys', { prefix: 'x' }], ['count'],
    ['delete', 'a'], ['delete', 'a', { ifVersion: 7 }], ['deleteMany', ['x', 'none']],
    ['clear', { prefix: 'y' }], ['clear', 5], ['getAll']
  ]
  const expected = []
  here.transaction((tx) => {
    const namespace = tx.useNamespace('n')
    for (const [method, ...args] of calls) {
      try {
        expected.push({ result: plain(namespace[method](...args)) })
      } catch ({ name, code, message, cause }) {
        expected.push({ name, code, message, cause })
      }
    }
  })
  let views
  await there.async.transaction(async (tx) => {
    const namespace = tx.useNamespace('n')
    views = namespace
    for (const [index, [method, ...args]] of calls.entries()) {
      const actual = await outcome(() => namespace[method](...args))
      assert.deepEqual(actual, expected[index], `${method} ${String(args)}`)
    }
    for (const [name, options] of [['', undefined], [5, undefined], ['n', { schema: 5 }]]) {
      const refused = tx.useNamespace(name, options)
      assert.ok((await outcome(() => refused.get('k'))).code)
    }
  })
  assert.deepEqual(there.useNamespace('n').getAll(), here.useNamespace('n').getAll())
  here.transaction((tx) => {
    assert.deepEqual(methodsOf(views), methodsOf(tx.useNamespace('n')))
  })
})

test('the methods of the store do what their synchronous twins do', async (t) => {
  const [here, there] = [temporaryStore(t, { agent: 'me' }), temporaryStore(t, { agent: 'me' })]
  for (const [method, ...args] of [
    ['set', 'k', 1], ['get', 'k'], ['get', 'none', 2], ['has', 'k'], ['delete', 'none'],
    ['delete', 'k', { ifVersion: 1 }], ['set', 5, 5], ['listNamespaces'],
    ['listNamespaces', { prefix: 'x' }], ['listNamespaces', { prefx: 'x' }], ['flush'],
    ['backup', 5], ['backup', 'x', { compct: true }], ['watch', { prefix: 5 }],
    ['watch', { signal: AbortSignal.abort() }], ['transaction', 5], ['transaction', () => 5],
    ['transaction', function * () {}], ['transaction', () => 5, {}],
    ['transaction', () => { throw new Error('mine') }], ['delete', 'k'], ['listNamespaces']
  ]) {
    const expected = await outcome(() => here[method](...args))
    const returned = there.async[method](...args)
    assert.deepEqual(await outcome(() => returned), expected, `${method} ${String(args)}`)
  }
  assert.deepEqual(Object.keys(await there.async.stats()), Object.keys(here.stats()))
  const own = ['path', 'agent', 'async']
  assert.deepEqual(methodsOf(there.async), methodsOf(here).filter((name) => !own.includes(name)))
  const copy = `${temporaryDirectory(t)}/copy`
  there.set('k', 5)
  await there.async.backup(copy)
  const restored = openStore(copy)
  t.after(() => restored.close())
  assert.equal(await restored.async.get('k'), 5)
})

test('writes are applied in the order of the calls, and a read sees an awaited one', async (t) => {
  const store = temporaryStore(t)
  const [later, sync] = [store.async.useNamespace('n'), store.useNamespace('n')]
  const versions = await Promise.all(Array.from({ length: 500 }, (_, n) => later.set('k', n)))
  assert.equal(sync.get('k'), 499)
  assert.deepEqual([...new Set(versions)].sort((a, b) => a - b), versions)
  for (let n = 0; n < 50; n++) {
    await later.set('k', n)
    assert.equal(sync.get('k'), n)
    assert.equal(await later.get('k'), n)
  }
  const [, deleted, again] = await Promise.all(
    [later.set('d', 1), later.delete('d'), later.delete('d'), later.increment('i')])
  assert.deepEqual([deleted, again], [true, false])
  const sums = await Promise.all(Array.from({ length: 100 }, () => later.increment('i')))
  assert.deepEqual(sums, Array.from({ length: 100 }, (_, n) => n + 2))
})

test('a synchronous write comes after the async ones that were called before it', async (t) => {
  const store = temporaryStore(t)
  const [later, sync] = [store.async.useNamespace('n'), store.useNamespace('n')]
  for (let round = 0; round < 20; round++) {
    const writes = Array.from({ length: 20 }, (_, n) => later.set('k', n))
    const version = sync.set('k', 'synchronous')
    assert.equal(sync.get('k'), 'synchronous')
    const versions = await Promise.all(writes)
    assert.ok(versions.every((earlier) => earlier < version))
    assert.equal(sync.get('k'), 'synchronous')
  }
  for (let n = 0; n < 100; n++) later.increment('sum')
  assert.equal(sync.increment('sum'), 101)
  for (let n = 0; n < 100; n++) later.increment('sum')
  store.transaction((tx) => tx.useNamespace('n').increment('sum'))
  assert.equal(sync.get('sum'), 202)
  const flushed = later.set('k', 'flushed')
  store.flush()
  assert.equal(sync.get('k'), 'flushed')
  await flushed
})

test('what a key is set to twice at once never shares a version', async (t) => {
  const store = temporaryStore(t)
  const later = store.async.useNamespace('n')
  const writes = Array.from({ length: 300 }, (_, n) => later.set(`k${n % 3}`, n))
  const versions = await Promise.all(writes)
  for (const key of [0, 1, 2]) {
    const own = versions.filter((_, n) => n % 3 === key)
    assert.equal(new Set(own).size, own.length)
  }
})

test('a write that fails among a thousand leaves nothing behind; the others commit', async (t) => {
  const store = temporaryStore(t)
  const later = store.async.useNamespace('n')
  store.useNamespace('n').set('text', 'x')
  const writes = Array.from({ length: 1000 }, (_, n) => {
    if (n === 200) return later.set('taken', n, { ifVersion: 99 })
    if (n === 400) return later.increment('text')
    if (n === 600) return later.setMany({ [`lost${n}`]: 1, [big]: 1 })
    if (n === 800) return store.async.useNamespace('').set('k', 1)
    return later.set(`k${n}`, n)
  })
  const results = await Promise.allSettled(writes)
  const failed = results.map(({ status, reason }, n) => [n, status, reason?.code])
    .filter(([, status]) => status === 'rejected')
  assert.deepEqual(failed, [
    [200, 'rejected', 'ERR_CONFLICT'],
    [400, 'rejected', 'ERR_NOT_A_NUMBER'],
    [600, 'rejected', 'ERR_KEY_TOO_LONG'],
    [800, 'rejected', 'ERR_INVALID_NAMESPACE']
  ])
  const all = store.useNamespace('n').getAll()
  assert.equal(Object.keys(all).length, 997)
  for (let n = 0; n < 1000; n++) assert.equal(all[`k${n}`], n % 200 === 0 && n > 0 ? undefined : n)
  assert.equal(all.text, 'x')
})

test('what is written is encoded at the call: changing it later changes nothing', async (t) => {
  const store = temporaryStore(t)
  const later = store.async.useNamespace('n')
  const value = { list: [1] }
  const metadata = { by: 'me' }
  const keys = ['a', 'b']
  const written = later.set('k', value, { metadata })
  const many = later.setMany(keys.map((key) => [key, value]))
  value.list.push(2)
  metadata.by = 'you'
  keys.length = 0
  await Promise.all([written, many])
  assert.deepEqual(await later.getMany(['k', 'a', 'b']),
    { k: { list: [1] }, a: { list: [1] }, b: { list: [1] } })
  assert.deepEqual((await later.getEntry('k')).metadata, { by: 'me' })
})

test('an async function of update awaits, and nothing is lost', async (t) => {
  const store = temporaryStore(t)
  const later = store.async.useNamespace('n')
  let runs = 0
  await Promise.all(Array.from({ length: 40 }, () => later.update('k', async (n = 0) => {
    runs++
    await null
    return n + 1
  })))
  assert.equal(await later.get('k'), 40)
  assert.ok(runs > 40, 'some ran again')
  await Promise.all([
    later.update('k', async (n) => n + 1),
    later.increment('k'),
    store.useNamespace('n').increment('k')
  ])
  assert.equal(await later.get('k'), 43)
  await assert.rejects(later.update('k', async () => { throw new Error('mine') }), /mine/)
  assert.equal(await later.update('k', async () => undefined), undefined)
  assert.equal(await later.has('k'), false)
})

test('async transactions run at once, beside other writes, and nothing is lost', async (t) => {
  const store = temporaryStore(t)
  const sync = store.useNamespace('n')
  let runs = 0
  const add = () => store.async.transaction(async (tx) => {
    runs++
    const namespace = tx.useNamespace('n')
    const sum = await namespace.get('sum', 0)
    await new Promise(setImmediate)
    await namespace.set('sum', sum + 1)
    return sum + 1
  })
  const adding = Array.from({ length: 30 }, add)
  store.transaction((tx) => tx.useNamespace('n').increment('sum'))
  const sums = await Promise.all(adding)
  assert.equal(sync.get('sum'), 31)
  assert.equal(new Set(sums).size, 30)
  assert.ok(runs > 30, 'some ran again')
})

test('an async transaction sees one state, and its own writes, and commits once', async (t) => {
  const store = temporaryStore(t)
  const sync = store.useNamespace('n')
  sync.setMany({ a: 1, b: 1 })
  let runs = 0
  const result = await store.async.transaction(async (tx) => {
    const namespace = tx.useNamespace('n')
    const a = await namespace.get('a')
    if (++runs === 1) sync.setMany({ a: 2, b: 2 })
    const b = await namespace.get('b')
    assert.equal(a, b)
    await namespace.set('c', a + b)
    assert.equal(await namespace.get('c'), a + b)
    assert.equal(sync.get('c'), undefined)
    return a + b
  })
  assert.deepEqual([result, runs, sync.get('c')], [4, 2, 4])
})

test('a transaction that rejects leaves nothing behind, and ends with its function', async (t) => {
  const store = temporaryStore(t)
  const error = new Error('mine')
  let kept
  await assert.rejects(store.async.transaction(async (tx) => {
    kept = tx.useNamespace('n')
    await kept.set('k', 1)
    throw error
  }), (thrown) => thrown === error)
  assert.equal(await store.async.useNamespace('n').count(), 0)
  await rejectsCode(kept.set('k', 1), 'ERR_CLOSED')
  await rejectsCode(kept.get('k'), 'ERR_CLOSED')
  await store.async.transaction((tx) => { tx.useNamespace('n').set('k', 1) })
  assert.equal(await store.async.useNamespace('n').get('k'), 1)
})

test('inside a synchronous transaction async writes are refused as others are', async (t) => {
  const store = temporaryStore(t)
  let write
  store.transaction(() => {
    write = store.async.set('k', 1)
    write.catch(() => {})
  })
  await rejectsCode(write, 'ERR_INVALID_OPTION', { message: /transaction/ })
  assert.equal(store.get('k'), undefined)
  await store.async.set('k', 2)
  assert.equal(store.get('k'), 2)
})

test('a read-only store refuses async writes', async (t) => {
  const { path } = temporaryStore(t)
  const store = openStore({ path, readOnly: true })
  t.after(() => store.close())
  await rejectsCode(store.async.set('k', 1), 'ERR_READ_ONLY')
  await rejectsCode(store.async.useNamespace('n').update('k', () => 1), 'ERR_READ_ONLY')
  await rejectsCode(store.async.useQueue('q').push(1), 'ERR_READ_ONLY')
  await rejectsCode(store.async.transaction((tx) => tx.useNamespace('n').set('k', 1)),
    'ERR_READ_ONLY')
  assert.equal(await store.async.get('k'), undefined)
})

test('watch and waitFor are told of async writes', async (t) => {
  const store = temporaryStore(t)
  const later = store.async.useNamespace('n')
  const told = []
  const watching = (async () => {
    for await (const change of later.watch()) {
      told.push(`${change.type} ${change.key}`)
      if (change.key === 'end') return
    }
  })()
  const waiting = later.waitFor('end')
  await later.set('a', 1)
  await later.delete('a')
  await later.set('end', 1)
  assert.equal(await waiting, 1)
  await watching
  assert.deepEqual(told.slice(-3), ['set a', 'delete a', 'set end'].slice(-told.length))
})

test('a claim sees what was pushed before, awaited or not', async (t) => {
  const queue = temporaryStore(t).async.useQueue('q')
  queue.push('item', { id: 'a' })
  const task = await queue.claim()
  assert.equal(task.item, 'item')
  await task.complete()
  assert.equal(await queue.claim(), undefined)
})

test('consume with promises hands out each task once and ends with its signal', async (t) => {
  const store = temporaryStore(t)
  const queue = store.async.useQueue('q')
  const controller = new AbortController()
  const done = []
  const workers = Array.from({ length: 4 }, async () => {
    for await (const task of queue.consume({ signal: controller.signal })) {
      done.push(task.item)
      await task.complete(task.item * 2)
      if (done.length === 100) controller.abort()
    }
  })
  const numbers = Array.from({ length: 100 }, (_, n) => n)
  await queue.pushMany(numbers.slice(0, 50))
  for (const n of numbers.slice(50)) await queue.push(n)
  await Promise.all(workers)
  assert.deepEqual(done.sort((a, b) => a - b), numbers)
  assert.deepEqual(await queue.stats(),
    { pending: 0, delayed: 0, claimed: 0, completed: 100, dead: 0 })
  await queue.drained()
})

test('a task that a claim brings while the loop is aborted is delivered, not lost', async (t) => {
  const queue = temporaryStore(t).async.useQueue('q')
  await queue.push('item')
  const controller = new AbortController()
  const consumer = queue.consume({ signal: controller.signal })
  const next = consumer.next()
  controller.abort()
  const { value, done } = await next
  assert.equal(done, false)
  assert.equal(value.item, 'item')
  await value.complete()
  assert.equal((await consumer.next()).done, true)
})

test('close writes what is on its way, refuses what comes later, and may be repeated', async (t) => {
  const { path } = temporaryStore(t)
  const store = openStore(path)
  const later = store.async
  const namespace = later.useNamespace('n')
  const writes = Array.from({ length: 200 }, (_, n) => namespace.set(`k${n}`, n))
  const closing = later.close()
  for (const call of [
    () => namespace.set('late', 1), () => namespace.get('k1'), () => later.get('k'),
    () => later.flush(), () => later.transaction(() => {}), () => namespace.keys().next(),
    () => namespace.watch().next(), () => later.useQueue('q').push(1), () => later.stats(),
    () => later.backup('x')
  ]) await rejectsCode(call(), 'ERR_CLOSED')
  await Promise.all([closing, later.close(), later[Symbol.asyncDispose]()])
  assert.equal((await Promise.all(writes)).length, 200)
  const again = openStore(path)
  t.after(() => again.close())
  assert.equal(again.useNamespace('n').count(), 200)
})

test('a synchronous close writes what async calls have queued', async (t) => {
  const { path } = temporaryStore(t)
  const store = openStore(path)
  const writes = Array.from({ length: 200 }, (_, n) => store.async.set(`k${n}`, n))
  store.close()
  const again = openStore(path)
  t.after(() => again.close())
  assert.equal(again.useNamespace('default').count(), 200)
  assert.equal((await Promise.all(writes)).length, 200)
})

test('flush resolves after the writes that are on their way', async (t) => {
  const store = temporaryStore(t)
  const settled = []
  for (let n = 0; n < 100; n++) store.async.set('k', n).then(() => settled.push(n))
  await store.async.flush()
  assert.equal(settled.length, 100)
  assert.equal(store.get('k'), 99)
})

test('the store that is opened on first use is so with promises, too', async (t) => {
  const { path } = temporaryStore(t)
  const env = { ...process.env, COMMONHOLD_PATH: path }
  const said = await runAgent(t, 'async', { task: 'default store' }, { env })
  assert.deepEqual(said, [{ value: 1 }])
})

test('a failed call gives one rejection, and a handled one gives none', async (t) => {
  const { path } = temporaryStore(t)
  assert.deepEqual(await runAgent(t, 'async', { task: 'rejections', path }), [
    'ERR_CONFLICT', 'ERR_INVALID_KEY', 'ERR_INVALID_KEY', 'ERR_INVALID_OPTION'
  ])
})

test('memory stays bounded while 400 MB are written without await', async (t) => {
  const store = temporaryStore(t)
  const later = store.async.useNamespace('n')
  const value = new Uint8Array(1024 * 1024)
  const before = process.memoryUsage().rss
  const writes = []
  let most = 0
  for (let n = 0; n < 400; n++) {
    writes.push(later.set(`k${n % 8}`, value))
    most = Math.max(most, process.memoryUsage().rss - before)
  }
  await Promise.all(writes)
  assert.ok(most < 256 * 1024 * 1024, `${most} bytes`)
})

test('two threads write with promises at once', async (t) => {
  const store = temporaryStore(t)
  const script = require.resolve('./agents/worker.js')
  const workers = [1, 2].map(() =>
    new Worker(script, { workerData: { task: 'increment with promises', path: store.path } }))
  const adding = Array.from({ length: 200 }, () => store.async.useNamespace('n').increment('sum'))
  await Promise.all([...adding, ...workers.map((worker) => once(worker, 'exit'))])
  assert.equal(store.useNamespace('n').get('sum'), 600)
})
