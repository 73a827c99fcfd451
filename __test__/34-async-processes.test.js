'use strict'

// store.async with real processes: nothing is lost between them, nobody blocks, anybody may exit.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { temporaryStore } = require('./support/store')
const { runAgent, startAgent } = require('./support/agents')

const hasFlock = spawnSync('flock', ['--version']).status === 0
const needsFlock = { skip: !hasFlock && 'skipped: flock (util-linux) is not installed' }

test('async transactions of three processes lose nothing', { timeout: 120_000 }, async (t) => {
  const store = temporaryStore(t)
  const args = { task: 'transactions', path: store.path, times: 60, keys: 5 }
  await Promise.all([1, 2, 3].map(() => runAgent(t, 'async', args)))
  const { total, ...keys } = store.useNamespace('n').getAll()
  assert.equal(total, 180)
  assert.deepEqual(keys, { k0: 36, k1: 36, k2: 36, k3: 36, k4: 36 })
})

test('async updates of three processes lose nothing', { timeout: 120_000 }, async (t) => {
  const store = temporaryStore(t)
  const args = { task: 'updates', path: store.path, times: 60 }
  const agents = [1, 2, 3].map(() => runAgent(t, 'async', args))
  const namespace = store.useNamespace('n')
  for (let n = 0; n < 20; n++) namespace.update('updated', (sum = 0) => sum + 1)
  await Promise.all(agents)
  assert.deepEqual(namespace.getAll(), { updated: 200, incremented: 180 })
})

test('while another process holds the writer, timers, files and reads go on', needsFlock,
  async (t) => {
    const store = temporaryStore(t)
    for (let n = 0; n < 20; n++) store.useNamespace(`known ${n}`).set('k', 1)
    const holder = startAgent(t, 'async', { task: 'hold', path: store.path })
    await new Promise((resolve) => holder.child.stdout.once('data', resolve))
    const agent = startAgent(t, 'async', { task: 'ticks', path: store.path })
    const { ticks, settled } = await agent.next()
    assert.ok(ticks >= 20)
    assert.equal(settled, 0)
    holder.tell('go on')
    agent.tell('go on')
    assert.deepEqual(await agent.next(), { settled: 6, value: 1 })
    assert.equal((await agent.exited).code, 0)
  })

test('a turn that another process keeps delays updates once, and loses nothing', needsFlock,
  async (t) => {
    const store = temporaryStore(t)
    const namespace = store.async.useNamespace('n')
    const add = () => namespace.update('k', async (n = 0) => n + 1)
    await Promise.all(Array.from({ length: 10 }, add))
    const holder = startAgent(t, 'async', { task: 'hold', path: store.path, lock: 'turn.lock' })
    await new Promise((resolve) => holder.child.stdout.once('data', resolve))
    await Promise.all(Array.from({ length: 30 }, add))
    assert.equal(await namespace.get('k'), 40)
    holder.tell('go on')
    await holder.exited
    await Promise.all(Array.from({ length: 10 }, add))
    assert.equal(await namespace.get('k'), 50)
  })

/** What is left behind; whether the process ends with 7; how many writes are there afterwards. */
const LEAVINGS = {
  nothing: [0, (all) => assert.deepEqual(all, { k: 1 })],
  pending: [0, (all) => assert.deepEqual(all, { k: 2 })],
  many: [0, (all) => assert.equal(Object.keys(all).length, 500)],
  watcher: [0, (all) => assert.deepEqual(all, {})],
  'exit at once': [7, areWholePairs],
  'exit after some': [7, (all) => {
    areWholePairs(all)
    // What was acknowledged is there, and what came before it.
    for (let n = 0; n <= 100; n++) assert.equal(all[`a${n}`], n)
  }],
  'exit in a transaction': [7, (all) => assert.deepEqual(all, {})],
  'close at exit': [7, (all) => {
    areWholePairs(all)
    assert.equal(Object.keys(all).length, 1000)
  }],
  'exit while closing': [7, areWholePairs],
  'worker terminated': [0, (all) => assert.equal(all.k, 4)]
}

function areWholePairs (all) {
  const keys = Object.keys(all)
  for (const key of keys) {
    assert.equal(all[`a${key.slice(1)}`], Number(key.slice(1)))
    assert.equal(all[`b${key.slice(1)}`], Number(key.slice(1)))
  }
  // Writes are applied in the order of the calls, so what is missing is at the end.
  for (let n = 0; n < keys.length / 2; n++) assert.equal(all[`a${n}`], n)
}

for (const [leave, [expected, check]] of Object.entries(LEAVINGS)) {
  test(`a process ends that leaves behind: ${leave}`, { timeout: 60_000 }, async (t) => {
    const store = temporaryStore(t)
    const agent = startAgent(t, 'async', { task: 'leave', path: store.path, leave })
    const said = await agent.all()
    const { code, signal, stderr } = await agent.exited
    assert.deepEqual([signal, code], [null, expected], stderr)
    if (leave === 'pending') assert.deepEqual(said, [{ acknowledged: true }])
    const namespace = store.useNamespace('n')
    const keys = namespace.getAll()
    delete keys.k9
    if (leave === 'worker terminated') check({ k: keys.k })
    else check(namespace.getAll())
    store.set('after', 'nothing is locked')
  })
}

test('what a killed process was told of is there, and pairs are whole', async (t) => {
  const store = temporaryStore(t)
  for (let round = 0; round < 5; round++) {
    const agent = startAgent(t, 'async', { task: 'pairs', path: store.path })
    const told = []
    while (told.length < 40 * (round + 1)) told.push((await agent.next()).n)
    agent.kill('SIGKILL')
    for (const { n } of await agent.all()) told.push(n)
    await agent.exited
    const all = store.useNamespace('pairs').getAll()
    for (const n of told) assert.equal(all[`a${n}`], n)
    for (const key of Object.keys(all)) assert.equal(all[`b${key.slice(1)}`], Number(key.slice(1)))
    store.useNamespace('pairs').clear()
  }
})

test('two processes work off a queue with promises, each task once', async (t) => {
  const store = temporaryStore(t)
  const queue = store.async.useQueue('q')
  await queue.pushMany(Array.from({ length: 200 }, (_, n) => n))
  const agents = [1, 2].map(() => startAgent(t, 'async', { task: 'work', path: store.path }))
  for (const agent of agents) assert.deepEqual(await agent.next(), { ready: true })
  await queue.drained()
  for (const agent of agents) assert.equal((await agent.exited).code, 0)
  const results = Object.values(await queue.results())
  assert.deepEqual(results.map(({ n }) => n).sort((a, b) => a - b),
    Array.from({ length: 200 }, (_, n) => n))
  assert.deepEqual((await queue.list()).map(({ attempt }) => attempt), Array(200).fill(1))
})
