'use strict'

// Relaxed durability with real processes. tests/relaxed.rs drops single pages of what was not
// synced; the fault suite does so for whole runs.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { openStore } = require('..')
const { temporaryDirectory, temporaryStore, throwsCode } = require('./support/store')
const { startAgent } = require('./support/agents')
const { afterPowerCut, newestCheckpoint } = require('./support/checkpoints')

const onLinux = { skip: process.platform !== 'linux' && 'only Linux tells its boot id' }
const never = 60_000
const relaxed = { durability: 'relaxed', flushInterval: never }

async function startWriter (t, path, options) {
  const agent = startAgent(t, 'relaxed', { path, options })
  assert.deepEqual(await agent.next(), { ready: true })
  const call = async (...args) => {
    agent.tell(JSON.stringify(args))
    const said = await agent.next()
    if (said === undefined) throw new Error((await agent.exited).stderr)
    assert.ok(!('code' in said), said.message)
    return said.value
  }
  const kill = async () => {
    agent.kill('SIGKILL')
    assert.equal((await agent.exited).signal, 'SIGKILL')
  }
  return { call, kill, agent }
}

/** What is in the store that a power cut now would leave. */
function contentAfterCut (t, path) {
  const store = openStore({ path: afterPowerCut(t, path) })
  t.after(() => store.close())
  return store.useNamespace('numbers').getAll()
}

async function until (condition) {
  const begin = Date.now()
  while (!condition()) {
    if (Date.now() - begin > 60_000) throw new Error('it never happened')
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
}

test('durability and flushInterval are checked', (t) => {
  const path = temporaryDirectory(t)
  const refused = (options, message) =>
    throwsCode(() => openStore({ path, ...options }), 'ERR_INVALID_OPTION', { message })
  refused({ durability: 'lazy' }, /'strict' or 'relaxed'/)
  for (const flushInterval of [0, -1, 1.5, 60_001, '100', NaN]) {
    refused({ durability: 'relaxed', flushInterval }, /flushInterval/)
  }
  for (const flushInterval of [1, 60_000]) {
    openStore({ path, durability: 'relaxed', flushInterval }).close()
  }
})

test('stats tell of the newest checkpoint, and of a recovery what was rolled back', onLinux, (t) => {
  const store = temporaryStore(t, relaxed)
  assert.equal('checkpoint' in store.stats(), false)
  const kept = store.set('kept', 1)
  store.flush()
  const { checkpoint } = store.stats()
  assert.equal(checkpoint.version, kept)
  assert.ok(Math.abs(Date.now() - checkpoint.at) < 60_000)
  for (let n = 0; n < 7; n++) store.set('lost', n)
  const copy = afterPowerCut(t, store.path)
  for (let opening = 0; opening < 2; opening++) {
    const again = openStore({ path: copy })
    const { recovery } = again.stats()
    assert.equal(recovery.commits, 7)
    assert.equal(recovery.version, kept)
    assert.deepEqual(recovery.since, checkpoint.at)
    assert.ok(recovery.at >= recovery.since)
    assert.equal(again.get('lost'), undefined)
    again.close()
  }
})

test('a watcher that was told a version beyond the cut gets a reset', onLinux, async (t) => {
  const store = temporaryStore(t, relaxed)
  store.set('kept', 1)
  store.flush()
  let since
  for (let n = 0; n < 5; n++) since = store.set('lost', n)
  const again = openStore({ path: afterPowerCut(t, store.path) })
  t.after(() => again.close())
  // As many commits as were lost, and more: their versions are not mistaken for those.
  for (let n = 0; n < 10; n++) assert.ok(again.set('new', n) > since + 2 ** 31)
  const seen = []
  for await (const change of again.watch({ since })) {
    seen.push([change.type, change.key, change.value])
    if (seen.length === 3) break
  }
  assert.deepEqual(seen, [['reset', undefined, undefined], ['set', 'kept', 1], ['set', 'new', 9]])
})

test('processes of both modes share a store: strict writes survive a power cut with all before them',
  onLinux, async (t) => {
    const path = temporaryDirectory(t)
    const [one, two, strict] = await Promise.all([
      startWriter(t, path, relaxed), startWriter(t, path, relaxed), startWriter(t, path, {})
    ])
    for (let round = 0; round < 5; round++) {
      await one.call('set', 'one', round)
      await two.call('set', 'two', round)
      await strict.call('set', 'strict', round)
      const content = contentAfterCut(t, path)
      assert.deepEqual(content, { one: round, two: round, strict: round })
    }
    await Promise.all([one, two, strict].map((writer) => writer.call('increment', 300)))
    await one.call('flush')
    assert.equal(contentAfterCut(t, path).counter, 900)
    for (const writer of [one, two, strict]) await writer.call('close')
    assert.equal(newestCheckpoint(path).state, 'synced')
  })

test('all processes killed: nothing that was acknowledged is lost', onLinux, async (t) => {
  const path = temporaryDirectory(t)
  const writers = await Promise.all([1, 2, 3].map(() => startWriter(t, path, relaxed)))
  await Promise.all(writers.map((writer) => writer.call('increment', 200)))
  await Promise.all(writers.map((writer) => writer.kill()))
  assert.equal(newestCheckpoint(path).state, 'active')
  const store = openStore({ path })
  t.after(() => store.close())
  assert.equal(store.useNamespace('numbers').get('counter'), 600)
  assert.equal(newestCheckpoint(path).state, 'synced')
  assert.equal('recovery' in store.stats(), false)
})

test('strict writers after a relaxed one was killed lose nothing to a power cut', onLinux,
  async (t) => {
    const path = temporaryDirectory(t)
    const strict = await startWriter(t, path, {})
    const killed = await startWriter(t, path, relaxed)
    await killed.call('set', 'unsynced', 1)
    await killed.kill()
    assert.equal(newestCheckpoint(path).state, 'active')
    await strict.call('set', 'strict', 1)
    assert.equal(newestCheckpoint(path).state, 'synced')
    await strict.call('fill', 0, 500)
    const content = contentAfterCut(t, path)
    assert.deepEqual([content.unsynced, content.strict, content['key 99']], [1, 1, 499])
  })

test('a relaxed writer goes on after another one was killed, and a cut leaves a whole store',
  onLinux, async (t) => {
    const path = temporaryDirectory(t)
    const [lasting, killed] = await Promise.all([
      startWriter(t, path, relaxed), startWriter(t, path, relaxed)
    ])
    await lasting.call('set', 'first', 1)
    await killed.call('fill', 0, 150)
    await killed.call('flush')
    await killed.call('fill', 150, 200)
    await killed.kill()
    await lasting.call('fill', 200, 250)
    const content = contentAfterCut(t, path)
    assert.equal(content.first, 1)
    assert.equal(content['key 49'], 149)
    await lasting.call('flush')
    assert.equal(contentAfterCut(t, path)['key 49'], 249)
  })

test('without a flush, writes are on the disk after the interval', onLinux, async (t) => {
  const path = temporaryDirectory(t)
  const writer = await startWriter(t, path, { durability: 'relaxed', flushInterval: 50 })
  for (let round = 0; round < 3; round++) {
    const version = await writer.call('set', 'key', round)
    await until(() => newestCheckpoint(path).version >= version)
  }
  await until(() => newestCheckpoint(path).state === 'synced')
})

test('a process that exits without close leaves nothing unsynced', onLinux, async (t) => {
  const path = temporaryDirectory(t)
  const writer = await startWriter(t, path, relaxed)
  await writer.call('set', 'key', 1)
  assert.equal(newestCheckpoint(path).state, 'active')
  writer.agent.child.stdin.end('\n')
  assert.equal((await writer.agent.exited).code, 0)
  assert.equal(newestCheckpoint(path).state, 'synced')
})

test('an idle relaxed process does not make the file grow under others', onLinux, async (t) => {
  const path = temporaryDirectory(t)
  const [idle, busy] = await Promise.all([
    startWriter(t, path, relaxed), startWriter(t, path, relaxed)
  ])
  await idle.call('set', 'key', 1)
  await busy.call('fill', 0, 20_000)
  const { usedBytes, freeBytes } = await busy.call('stats')
  assert.ok(usedBytes + freeBytes < 64 * 2 ** 20, `${usedBytes} and ${freeBytes} free bytes`)
})

test('a store of more namespaces than handles is relaxed, too', onLinux, async (t) => {
  const store = temporaryStore(t, relaxed)
  for (let round = 0; round < 2; round++) {
    for (let n = 0; n < 300; n++) store.useNamespace(`job ${n}`).increment('steps')
  }
  for (let n = 0; n < 300; n++) assert.equal(store.useNamespace(`job ${n}`).get('steps'), 2)
  store.flush()
  const again = openStore({ path: afterPowerCut(t, store.path) })
  t.after(() => again.close())
  assert.equal(again.stats().keys, 300)
})
