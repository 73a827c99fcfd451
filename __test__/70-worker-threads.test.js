'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const path = require('node:path')
const { once } = require('node:events')
const { Worker } = require('node:worker_threads')
const { temporaryStore } = require('./support/store')
const { startAgent } = require('./support/agents')

const script = path.join(__dirname, 'agents', 'worker.js')

/** Starts a worker thread with a task; `result` resolves with what it posts at its end. */
function startWorker (t, workerData) {
  const worker = new Worker(script, { workerData })
  t.after(() => worker.terminate())
  const result = new Promise((resolve, reject) => {
    worker.on('message', ({ result }) => result !== undefined && resolve(result))
    worker.on('error', reject)
    worker.on('exit', (code) => code !== 0 && reject(new Error(`worker ended with ${code}`)))
  })
  result.catch(() => {})
  return { worker, result, ended: once(worker, 'exit') }
}

test('a worker thread sees the main thread\'s writes, and the other way', async (t) => {
  const store = temporaryStore(t)
  store.useNamespace('n').set('from main', 1)
  const { result, ended } = startWorker(t, { task: 'exchange', path: store.path })
  assert.deepEqual(await result, { seen: 1 })
  assert.equal(store.useNamespace('n').get('from worker'), 2)
  await ended
})

test('a worker that closes its store, or exits without, leaves the others working', async (t) => {
  const store = temporaryStore(t)
  for (const task of ['close', 'exit', 'end']) {
    const { ended } = startWorker(t, { task, path: store.path })
    await ended
    assert.equal(store.useNamespace('n').get(`from ${task}`), 1)
    store.useNamespace('n').set('main', task)
    assert.equal(store.useNamespace('n').get('main'), task)
  }
})

test('the last store may be closed in any thread, and opened again', async (t) => {
  const store = temporaryStore(t)
  store.set('key', 1)
  const first = startWorker(t, { task: 'wait', path: store.path })
  await once(first.worker, 'message')
  store.close()
  first.worker.postMessage('go on')
  assert.deepEqual(await first.result, { key: 1 })
  await first.ended
  const second = startWorker(t, { task: 'exchange', path: store.path })
  await second.result
  await second.ended
})

test('four workers and the main thread increment one counter, and nothing is lost', async (t) => {
  const store = temporaryStore(t)
  const task = { task: 'count', path: store.path, times: 500 }
  const workers = [1, 2, 3, 4].map(() => startWorker(t, task))
  for (let n = 0; n < 500; n++) store.useNamespace('n').increment('counter')
  await Promise.all(workers.map(({ result }) => result))
  assert.equal(store.useNamespace('n').get('counter'), 2500)
  assert.equal(store.useNamespace('n').get('updated'), 2000)
})

test('a worker terminated in the middle of writing blocks nobody', async (t) => {
  const store = temporaryStore(t)
  for (let round = 0; round < 10; round++) {
    const { worker } = startWorker(t, { task: 'write without end', path: store.path })
    await once(worker, 'message')
    await worker.terminate()
    store.useNamespace('n').set('main', round)
    const acknowledged = store.useNamespace('n').get('acknowledged')
    assert.ok(acknowledged > 0)
  }
})

test('a worker terminated in the middle of reading leaves no snapshot that others wait for', {
  timeout: 60_000
}, async (t) => {
  const store = temporaryStore(t)
  // In a process of its own, because what would wait is its main thread, for ever.
  const agent = startAgent(t, 'terminate', { path: store.path, rounds: 60 })
  for (let round = 1; round <= 60; round++) {
    assert.deepEqual(await agent.next(), { round, wrong: [] })
  }
  const { code, stderr } = await agent.exited
  assert.equal(code, 0, stderr)
})

test('two workers and the main thread at random in 1,000 namespaces', async (t) => {
  const store = temporaryStore(t)
  const names = Array.from({ length: 1000 }, (_, n) => `job:${n}`)
  for (const name of names) store.useNamespace(name).set('name', { name })
  const roam = path.join(__dirname, 'agents', 'roam.js')
  const workers = [1, 2].map((seed) => {
    const workerData = { path: store.path, names: names.length, rounds: 5000, seed }
    const worker = new Worker(roam, { workerData })
    t.after(() => worker.terminate())
    return once(worker, 'message')
  })
  for (let n = 0; n < 20_000; n++) {
    const name = names[(n * 7919) % names.length]
    assert.equal(store.useNamespace(name).get('name').name, name)
  }
  for (const [{ wrong }] of await Promise.all(workers)) assert.deepEqual(wrong, [])
})
