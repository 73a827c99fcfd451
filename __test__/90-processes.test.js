'use strict'

// What one process writes the others read at once, and nobody's write is lost.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('..')
const { temporaryDirectory, temporaryStore } = require('./support/store')
const { runAgent, startAgent } = require('./support/agents')

const generous = { timeout: 240_000 }
const numbers = (length) => Array.from({ length }, (_, n) => n)

for (const [turn, how] of Object.entries({
  loop: 'in one synchronous loop',
  microtask: 'in microtasks',
  timer: 'after timers'
})) {
  test(`two processes see each other's writes ${how}`, generous, async (t) => {
    const store = temporaryStore(t)
    const args = { path: store.path, rounds: 300, turn }
    const players = [
      runAgent(t, 'ping-pong', { ...args, mine: 'ping', theirs: 'pong', first: true }),
      runAgent(t, 'ping-pong', { ...args, mine: 'pong', theirs: 'ping' })
    ]
    for (const said of await Promise.all(players)) assert.deepEqual(said, [{ rounds: 300 }])
  })
}

test('a write is visible to every other process by the time it returns', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('batch')
  const writer = startAgent(t, 'batches', { path: store.path, size: 3 })
  for (let lines = 0; lines < 1000; lines++) {
    const { batch } = await writer.next()
    for (const key of ['key 0', 'key 2']) assert.ok(namespace.get(key) >= batch, `batch ${batch}`)
  }
  writer.kill('SIGKILL')
  await writer.exited
})

test('getAll and getMany show one moment while another process writes', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('batch')
  const writer = startAgent(t, 'batches', { path: store.path, size: 40 })
  await writer.next()
  const keys = namespace.listKeys()
  const seen = new Set()
  while (seen.size < 100) {
    for (const read of [namespace.getAll(), namespace.getMany(keys)]) {
      const values = Object.values(read)
      assert.equal(values.length, 40)
      assert.equal(new Set(values).size, 1, `all of one batch: ${values}`)
      seen.add(values[0])
    }
    await writer.next()
  }
  writer.kill('SIGKILL')
  await writer.exited
})

test('8 processes increment one counter 2,000 times each', generous, async (t) => {
  const store = temporaryStore(t)
  const args = { path: store.path, times: 2000, how: 'increment' }
  const said = await Promise.all(numbers(8).map(() => runAgent(t, 'count', args)))
  assert.equal(store.get('counter'), 16_000)
  const returned = said.flatMap(([{ returned }]) => returned).sort((a, b) => a - b)
  assert.deepEqual(returned, numbers(16_000).map((n) => n + 1), 'each number returned once')
})

test('8 processes update one key 2,000 times each', generous, async (t) => {
  const store = temporaryStore(t)
  const args = { path: store.path, times: 2000, how: 'update' }
  await Promise.all(numbers(8).map((n) => runAgent(t, 'count', { ...args, name: `agent ${n}` })))
  const { total, ...byAgent } = store.get('counter')
  assert.equal(total, 16_000)
  assert.deepEqual(Object.values(byAgent), numbers(8).map(() => 2000))
})

test('4 processes claim 500 tasks, each exactly once', generous, async (t) => {
  const store = temporaryStore(t)
  const args = { path: store.path, tasks: 500 }
  const said = await Promise.all(
    numbers(4).map((n) => runAgent(t, 'claim', { ...args, name: `agent ${n}` })))
  const claims = said.flatMap(([{ name, claimed }]) => claimed.map((task) => [task, name]))
  assert.equal(claims.length, 500)
  assert.deepEqual(Object.fromEntries(claims), { ...store.useNamespace('claims').getAll() })
})

test('several processes may create one store at the same moment', generous, async (t) => {
  for (let round = 0; round < 5; round++) {
    const directory = path.join(temporaryDirectory(t), 'new')
    const args = { path: directory, times: 20, how: 'increment' }
    await Promise.all(numbers(4).map(() => runAgent(t, 'count', args)))
    const store = openStore(directory)
    assert.equal(store.get('counter'), 80)
    store.close()
  }
})

for (const how of ['idle', 'blocked']) {
  test(`a reader that is ${how} does not make the file grow`, generous, async (t) => {
    const store = temporaryStore(t)
    const namespace = store.useNamespace('n')
    namespace.set('key', 'x'.repeat(10_000))
    const reader = startAgent(t, 'reader', { path: store.path, how })
    await reader.next()
    for (let n = 0; n < 3000; n++) namespace.set('key', String(n % 10).repeat(10_000))
    reader.tell('stop')
    assert.deepEqual(await reader.all(), [{ last: '9' }])
    const bytes = fs.statSync(path.join(store.path, 'data.mdb')).size
    assert.ok(bytes < 8_000_000, `30 MB written over one key, the file has ${bytes} bytes`)
  })
}
