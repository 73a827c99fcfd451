'use strict'

// waitFor: now, later, never. No test sleeps: each waits for what it tests.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { getEventListeners, once } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const { openStore, DataStoreError } = require('..')
const { rejectsCode, temporaryNamespace, temporaryStore } = require('./support/store')

const generous = { timeout: 120_000 }
const script = path.join(__dirname, 'agents', 'waiting-worker.js')

/** Runs `fn` and returns the process's warnings; they come in a later turn. */
async function warningsOf (fn) {
  const warnings = []
  const note = (warning) => warnings.push(warning.name)
  process.on('warning', note)
  await fn()
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', note)
  return warnings
}

/** Occupies the thread for so many milliseconds, so that timers come late. */
function occupy (ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

test('a key that exists is there at once, whatever its value', async (t) => {
  const namespace = temporaryNamespace(t)
  for (const value of [1, 0, '', false, null, { a: [1] }, new Date(5)]) {
    namespace.set('key', value)
    assert.deepEqual(await namespace.waitFor('key'), value)
    assert.deepEqual(await namespace.waitFor('key', { timeout: 0 }), value)
  }
})

test('a key that appears later ends the wait, however it was written', generous, async (t) => {
  const namespace = temporaryNamespace(t)
  const writes = {
    set: () => namespace.set('set', 1),
    setMany: () => namespace.setMany({ other: 0, setMany: 1 }),
    update: () => namespace.update('update', () => 1),
    increment: () => namespace.increment('increment'),
    ttl: () => namespace.set('ttl', 1, { ttl: 3_600_000 })
  }
  for (const [key, write] of Object.entries(writes)) {
    const waiting = namespace.waitFor(key)
    write()
    assert.equal(await waiting, 1, key)
  }
})

test('a wait goes on through changes of other keys and of other namespaces', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  const waiting = namespace.waitFor('key')
  for (let n = 0; n < 20; n++) {
    namespace.set(`key${n}`, 'other key')
    store.useNamespace('other').set('key', 'other namespace')
  }
  namespace.set('key', 'right')
  assert.equal(await waiting, 'right')
})

test('a key that was deleted, cleared or has expired is waited for again', generous, async (t) => {
  const namespace = temporaryNamespace(t)
  for (const remove of [() => namespace.delete('key'), () => namespace.clear()]) {
    namespace.set('key', 'old')
    remove()
    const waiting = namespace.waitFor('key')
    namespace.set('key', 'new')
    assert.equal(await waiting, 'new')
  }
  namespace.set('key', 'old', { ttl: 1 })
  while (namespace.has('key'));
  const waiting = namespace.waitFor('key')
  namespace.set('key', 'new')
  assert.equal(await waiting, 'new')
})

test('a predicate decides, on the value there is and on each later one', generous, async (t) => {
  const namespace = temporaryNamespace(t)
  namespace.set('status', { stage: 1 })
  const seen = []
  const waiting = namespace.waitFor('status', {
    predicate (value) {
      seen.push(value.stage)
      return value.stage === 3
    }
  })
  assert.deepEqual(seen.slice(0, 1), [1])
  const second = namespace.waitFor('status', { predicate: ({ stage }) => stage === 2 })
  namespace.set('status', { stage: 2 })
  assert.deepEqual(await second, { stage: 2 })
  namespace.set('status', { stage: 3 })
  assert.deepEqual(await waiting, { stage: 3 })
  assert.deepEqual([...new Set(seen)].sort(), seen.includes(2) ? [1, 2, 3] : [1, 3])
})

test('a predicate that throws rejects with what it threw, at once and later', generous, async (t) => {
  const namespace = temporaryNamespace(t)
  const thrown = new Error('of the predicate')
  const predicate = () => { throw thrown }
  const waiting = namespace.waitFor('key', { predicate })
  namespace.set('key', 1)
  await assert.rejects(waiting, (error) => error === thrown)
  await assert.rejects(namespace.waitFor('key', { predicate }), (error) => error === thrown)
})

test('a predicate that returns a promise is refused: a promise is always true', async (t) => {
  const namespace = temporaryNamespace(t)
  namespace.set('key', 1)
  const predicate = async () => false
  await rejectsCode(namespace.waitFor('key', { predicate }), 'ERR_INVALID_OPTION',
    { type: TypeError, message: /promise/ })
})

test('a predicate may write, wait, abort and close', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  namespace.set('key', 1)
  const written = namespace.waitFor('written')
  const value = await namespace.waitFor('key', {
    predicate: (value) => namespace.set('written', value) > 0
  })
  assert.equal(value, await written)
  const controller = new AbortController()
  const { signal } = controller
  const abort = () => controller.abort('enough')
  const aborted = namespace.waitFor('key', { signal, predicate: abort })
  await assert.rejects(aborted, (reason) => reason === 'enough')
  assert.equal(getEventListeners(signal, 'abort').length, 0)
  await rejectsCode(namespace.waitFor('key', { predicate: () => store.close() }), 'ERR_CLOSED')
})

test('timeout 0 is now or never', async (t) => {
  const namespace = temporaryNamespace(t)
  const message = /"key" in "test" was not there, or not as required, within 0 ms/
  await rejectsCode(namespace.waitFor('key', { timeout: 0 }), 'ERR_TIMEOUT', { message })
  namespace.set('key', 1)
  assert.equal(await namespace.waitFor('key', { timeout: 0 }), 1)
  const predicate = (value) => value === 2
  await rejectsCode(namespace.waitFor('key', { timeout: 0, predicate }), 'ERR_TIMEOUT')
})

test('ERR_TIMEOUT comes after its time and not before', generous, async (t) => {
  const namespace = temporaryNamespace(t)
  const begin = performance.now()
  await rejectsCode(namespace.waitFor('key', { timeout: 50 }), 'ERR_TIMEOUT', { message: /50 ms/ })
  // setTimeout counts whole milliseconds.
  assert.ok(performance.now() - begin >= 49)
})

test('a value that is there when the time is over is found, however late', generous, async (t) => {
  const namespace = temporaryNamespace(t)
  const waiting = namespace.waitFor('key', { timeout: 1 })
  // Written now, and told only after the timer.
  namespace.set('key', 'in time for the last look')
  occupy(20)
  assert.equal(await waiting, 'in time for the last look')
})

test('an aborted signal rejects with its reason, before anything else', async (t) => {
  const namespace = temporaryNamespace(t)
  namespace.set('key', 1)
  const reason = { any: 'value' }
  const signal = AbortSignal.abort(reason)
  for (const options of [{}, { timeout: 0 }, { predicate: () => assert.fail('was called') }]) {
    await assert.rejects(namespace.waitFor('key', { signal, ...options }), (r) => r === reason)
  }
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})

test('a signal that aborts during the wait rejects with its reason', generous, async (t) => {
  const namespace = temporaryNamespace(t)
  const controller = new AbortController()
  const waiting = namespace.waitFor('key', { signal: controller.signal })
  controller.abort()
  await assert.rejects(waiting, (reason) => reason === controller.signal.reason)
  await assert.rejects(waiting, { name: 'AbortError' })
  const timed = namespace.waitFor('key', { signal: AbortSignal.timeout(5) })
  await assert.rejects(timed, { name: 'TimeoutError' })
  namespace.set('key', 'afterwards')
  await assert.rejects(waiting, { name: 'AbortError' })
})

test('a thousand waits on one signal warn nobody and leave no listener', generous, async (t) => {
  const namespace = temporaryNamespace(t)
  const { signal } = new AbortController()
  const controller = new AbortController()
  const keys = Array.from({ length: 1000 }, (_, n) => `key ${n}`)
  const warnings = await warningsOf(async () => {
    const waits = keys.map((key) => namespace.waitFor(key, { signal, timeout: 100_000 }))
    const aborted = keys.map((key) =>
      namespace.waitFor(`${key} never`, { signal: controller.signal }))
    namespace.setMany(keys.map((key) => [key, key]))
    assert.deepEqual(await Promise.all(waits), keys)
    controller.abort('all')
    const outcomes = await Promise.allSettled(aborted)
    assert.ok(outcomes.every(({ reason }) => reason === 'all'))
  })
  assert.deepEqual(warnings, [])
  assert.equal(getEventListeners(signal, 'abort').length, 0)
  assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
})

test('10,000 keys are waited for at once', generous, async (t) => {
  const namespace = temporaryNamespace(t)
  const keys = Array.from({ length: 10_000 }, (_, n) => `key ${n}`)
  const waits = keys.map((key, n) => namespace.waitFor(key, { predicate: (value) => value > n }))
  namespace.setMany(keys.map((key) => [key, 0]))
  namespace.setMany(keys.slice(0, 5000).map((key, n) => [key, n + 1]))
  namespace.setMany(keys.slice(5000).map((key, n) => [key, n + 5001]))
  assert.deepEqual(await Promise.all(waits), keys.map((_, n) => n + 1))
})

test('10,000 waits for one key all end', generous, async (t) => {
  const namespace = temporaryNamespace(t)
  const waits = Array.from({ length: 10_000 }, () => namespace.waitFor('key'))
  namespace.set('key', 'one')
  assert.deepEqual(new Set(await Promise.all(waits)), new Set(['one']))
})

test('closing a store ends its own waits with ERR_CLOSED and no others', generous, async (t) => {
  const store = temporaryStore(t)
  const other = openStore(store.path)
  t.after(() => other.close())
  const waits = Array.from({ length: 100 }, (_, n) => other.useNamespace('n').waitFor(`key ${n}`))
  const survivor = store.useNamespace('n').waitFor('key 5')
  const namespace = other.useNamespace('n')
  other.close()
  for (const waiting of waits) await rejectsCode(waiting, 'ERR_CLOSED')
  await rejectsCode(namespace.waitFor('key'), 'ERR_CLOSED')
  store.useNamespace('n').set('key 5', 5)
  assert.equal(await survivor, 5)
  const last = store.useNamespace('n').waitFor('key')
  store.close()
  await rejectsCode(last, 'ERR_CLOSED')
})

test('waits go on after the store was closed and opened again', generous, async (t) => {
  const store = temporaryStore(t)
  for (let round = 0; round < 50; round++) {
    const again = openStore(store.path)
    const waiting = again.useNamespace('n').waitFor(`key ${round}`)
    store.useNamespace('n').set(`key ${round}`, round)
    assert.equal(await waiting, round)
    again.close()
  }
})

test('bad arguments reject, and name what is wrong', async (t) => {
  const namespace = temporaryNamespace(t)
  const cases = [
    [[], 'ERR_INVALID_KEY', TypeError],
    [[5], 'ERR_INVALID_KEY', TypeError],
    [[''], 'ERR_INVALID_KEY', Error],
    [['\ud800'], 'ERR_INVALID_KEY', Error],
    [['k'.repeat(1979)], 'ERR_KEY_TOO_LONG', Error],
    [['key', null], 'ERR_INVALID_OPTION', TypeError],
    [['key', 100], 'ERR_INVALID_OPTION', TypeError],
    [['key', () => true], 'ERR_INVALID_OPTION', TypeError],
    [['key', { timout: 5 }], 'ERR_INVALID_OPTION', TypeError, /did you mean timeout/],
    [['key', { timeout: '5' }], 'ERR_INVALID_OPTION', TypeError],
    [['key', { timeout: -1 }], 'ERR_INVALID_OPTION', RangeError],
    [['key', { timeout: 0.5 }], 'ERR_INVALID_OPTION', RangeError],
    [['key', { timeout: NaN }], 'ERR_INVALID_OPTION', RangeError],
    [['key', { timeout: 2 ** 31 }], 'ERR_INVALID_OPTION', RangeError],
    [['key', { timeout: null }], 'ERR_INVALID_OPTION', TypeError],
    [['key', { predicate: true }], 'ERR_INVALID_OPTION', TypeError, /predicate/],
    [['key', { predicate: null }], 'ERR_INVALID_OPTION', TypeError, /predicate/],
    [['key', { signal: {} }], 'ERR_INVALID_OPTION', TypeError, /AbortSignal/],
    [['key', { signal: null }], 'ERR_INVALID_OPTION', TypeError, /AbortSignal/],
    [['key', { signal: new AbortController() }], 'ERR_INVALID_OPTION', TypeError, /AbortSignal/]
  ]
  for (const [args, code, type, message] of cases) {
    await rejectsCode(namespace.waitFor(...args), code, { type, message })
  }
  const timedOut = await namespace.waitFor('key', { timeout: 0 }).catch((error) => error)
  assert.ok(timedOut instanceof DataStoreError)
})

test('waiters in worker threads are told too', generous, async (t) => {
  const store = temporaryStore(t)
  const workers = [0, 1, 2, 3].map((id) => {
    const workerData = { task: 'wait', path: store.path, id, keys: 500 }
    const worker = new Worker(script, { workerData })
    t.after(() => worker.terminate())
    return worker
  })
  const ended = workers.map((worker) => once(worker, 'exit'))
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  const told = workers.map((worker) => once(worker, 'message'))
  for (let n = 0; n < 500; n++) store.useNamespace('n').set(`key ${n}`, n)
  const sum = 499 * 500 / 2
  for (const [message] of await Promise.all(told)) assert.deepEqual(message, { sum })
  await Promise.all(ended)
})

/** How many waiting threads this process has, by the names that Linux gives. */
function waitingThreads () {
  return fs.readdirSync('/proc/self/task').filter((id) => {
    try {
      return fs.readFileSync(`/proc/self/task/${id}/comm`, 'utf8').startsWith('commonhold-sign')
    } catch {
      return false
    }
  }).length
}

test('a worker terminated while it waits hurts nobody and leaves no subscription', {
  ...generous, skip: process.platform !== 'linux' && 'reads /proc'
}, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  for (let round = 0; round < 30; round++) {
    const workerData = { task: 'wait without end', path: store.path }
    const worker = new Worker(script, { workerData })
    await once(worker, 'message')
    // Changes stream in while it ends.
    const terminated = worker.terminate()
    for (let n = 0; n < 20; n++) namespace.set(`key ${n}`, round)
    await terminated
  }
  assert.equal(await namespace.waitFor('key 5'), 29)
  // Without a subscription the waiting thread ends.
  while (waitingThreads() > 0) await new Promise((resolve) => setImmediate(resolve))
})
