'use strict'

// Many keys, and many more namespaces than a process may have handles for.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const { temporaryStore } = require('./support/store')
const { seededRandom } = require('./support/random')
const { runAgent } = require('./support/agents')

const generous = { timeout: 240_000 }

test('130,000 keys in a namespace: listed, counted and read whole, here and elsewhere', generous,
  async (t) => {
    const store = temporaryStore(t)
    const namespace = store.useNamespace('files:a large repository')
    const keys = Array.from({ length: 130_000 }, (_, n) => `src/dir ${n % 977}/file ${n}.ts`)
    const value = (n) => ({ path: keys[n], lines: n })
    for (let from = 0; from < keys.length; from += 10_000) {
      const batch = keys.slice(from, from + 10_000).map((key, n) => [key, value(from + n)])
      assert.equal(namespace.setMany(batch), 10_000)
    }
    const sorted = [...keys].sort()
    assert.equal(namespace.count(), 130_000)
    assert.deepEqual(namespace.listKeys(), sorted)
    assert.deepEqual(namespace.listKeys({ prefix: 'src/dir 976/' }),
      sorted.filter((key) => key.startsWith('src/dir 976/')))
    const all = namespace.getAll()
    assert.equal(Object.keys(all).length, 130_000)
    keys.forEach((key, n) => assert.equal(all[key].lines, n))
    let iterated = 0
    for (const [key, { path }] of namespace) {
      assert.equal(key, sorted[iterated++])
      assert.equal(path, key)
    }
    assert.equal(iterated, 130_000)
    const [elsewhere] = await runAgent(t, 'survey', { path: store.path, namespace: namespace.name })
    assert.deepEqual(elsewhere, {
      count: 130_000, listed: 130_000, read: 130_000, first: sorted[0], last: sorted.at(-1)
    })
    assert.equal(namespace.clear(), 130_000)
    assert.equal(namespace.count(), 0)
  })

test('5,000 namespaces at random from two processes and a worker thread at once', generous,
  async (t) => {
    const random = seededRandom(t)
    const store = temporaryStore(t)
    const names = Array.from({ length: 5000 }, (_, n) => `job:${n}`)
    for (const name of names) store.useNamespace(name).set('name', { name })
    assert.deepEqual(store.listNamespaces(), [...names].sort())
    const task = () => ({ path: store.path, names: 5000, rounds: 6000, seed: random.below(1e9) })
    const worker = new Worker(path.join(__dirname, 'agents', 'roam.js'), { workerData: task() })
    t.after(() => worker.terminate())
    const fromWorker = new Promise((resolve, reject) => {
      worker.once('message', resolve).once('error', reject)
    })
    const fromProcesses = [task(), task()].map((args) => runAgent(t, 'roam', args))
    const results = [await fromWorker, ...(await Promise.all(fromProcesses)).flat()]
    const writes = results.reduce((sum, { wrote }) => sum + wrote, 0)
    for (const { wrong } of results) assert.deepEqual(wrong, [])
    let counted = 0
    for (const name of names) {
      const namespace = store.useNamespace(name)
      assert.equal(namespace.get('name').name, name)
      counted += namespace.get('writes', 0)
    }
    assert.equal(counted, writes, 'no write went elsewhere')
  })
