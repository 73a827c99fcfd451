'use strict'

// Other processes are stopped in the middle of a commit, or of opening a store. Whoever wants to
// write meanwhile gets ERR_BUSY in time, reads go on, and nothing is lost. A measured time fails a
// test only where a call hangs.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('..')
const { rejectsCode, temporaryDirectory, temporaryStore, throwsCode } = require('./support/store')
const { seededRandom } = require('./support/random')
const { runAgent, startAgent } = require('./support/agents')
const { canStop, resume, stop, stopInside } = require('./support/stopping')

const stopping = { skip: canStop, timeout: 240_000 }
const HANG_MS = 60_000

/** A writer in another process, and what it says it has counted. */
async function startWriter (t, store) {
  const acknowledged = path.join(temporaryDirectory(t), 'acknowledged')
  const namespace = 'theirs'
  const args = { path: store.path, agent: 'the writer', namespace, acknowledged }
  const writer = startAgent(t, 'increments-stopped', args)
  assert.equal(await writer.next(), 'ready')
  const counted = () => fs.readFileSync(acknowledged).readUInt32LE()
  return { pid: writer.pid, exited: writer.exited, kill: writer.kill, counted }
}

/** A store, and another process that was stopped inside a commit to it. */
async function stoppedWriter (t, { busyTimeout = 20, prepare = () => {} } = {}) {
  const store = temporaryStore(t, { busyTimeout })
  const context = prepare(store)
  const probe = openStore({ path: store.path, busyTimeout: 0 })
  t.after(() => probe.close())
  const writer = await startWriter(t, store)
  const error = stopInside(writer, () => probe.set('probe', 1))
  return { store, probe, writer, error, context }
}

function namesTheWriter (error, { pid }) {
  assert.equal(error.code, 'ERR_BUSY', error.stack)
  assert.equal(error.retryable, true)
  const who = `process ${pid} (agent "the writer")`
  assert.ok(error.message.includes(who), `${error.message}: no ${who}`)
  assert.match(error.message, /nothing was written/)
}

function prepare (store) {
  const namespace = store.useNamespace('ours')
  namespace.clear()
  namespace.setMany({ a: 1, b: 2 })
  const queue = store.useQueue('tasks', { lease: 3_600_000 })
  queue.pushMany([1, 2, 3, 4, 5])
  return { store, namespace, queue, task: queue.claim() }
}

const writes = {
  'store.set': ({ store }) => store.set('k', 1),
  'store.delete': ({ store }) => store.delete('k'),
  'store.transaction': ({ store }) => store.transaction((tx) => {
    tx.useNamespace('ours').set('a', tx.useNamespace('ours').get('b'))
  }),
  'set of a new namespace': ({ store }) => store.useNamespace('new').set('k', 1),
  'namespace.set': ({ namespace }) => namespace.set('a', 5),
  'namespace.set with ifVersion': ({ namespace }) => namespace.set('c', 5, { ifVersion: 0 }),
  'namespace.setMany': ({ namespace }) => namespace.setMany({ a: 5, c: 5 }),
  'namespace.update': ({ namespace }) => namespace.update('a', (n) => n + 1),
  'namespace.increment': ({ namespace }) => namespace.increment('a'),
  'namespace.delete': ({ namespace }) => namespace.delete('a'),
  'namespace.deleteMany': ({ namespace }) => namespace.deleteMany(['a', 'b']),
  'namespace.clear': ({ namespace }) => namespace.clear(),
  'queue.push': ({ queue }) => queue.push(6),
  'queue.pushMany': ({ queue }) => queue.pushMany([6, 7]),
  'queue.claim': ({ queue }) => queue.claim(),
  'queue.clear': ({ queue }) => queue.clear(),
  'task.renew': ({ task }) => task.renew(),
  'task.fail': ({ task }) => task.fail('no'),
  'task.complete': ({ task }) => task.complete(1)
}

const reads = {
  'store.get': ({ store }) => store.get('k', 'none'),
  'store.flush': ({ store }) => store.flush(),
  'store.listNamespaces': ({ store }) => assert.ok(store.listNamespaces().includes('ours')),
  'store.stats': ({ store, writer }) => {
    assert.ok(store.stats().processes.some(({ pid }) => pid === writer.pid))
  },
  'a transaction that only reads': ({ store }) => {
    assert.equal(store.transaction((tx) => tx.useNamespace('ours').get('a')), 1)
  },
  'a namespace that was not open': ({ store, writer }) => {
    assert.ok(store.useNamespace('theirs').get('counter') >= writer.counted())
  },
  'a namespace that does not exist': ({ store }) => {
    assert.deepEqual(store.useNamespace('absent').getAll(), {})
  },
  'namespace.get': ({ namespace }) => assert.equal(namespace.get('a'), 1),
  'namespace.getEntry': ({ namespace }) => assert.equal(namespace.getEntry('b').value, 2),
  'namespace.has': ({ namespace }) => assert.equal(namespace.has('c'), false),
  'namespace.getMany': ({ namespace }) => namespace.getMany(['a', 'c']),
  'namespace.getAll': ({ namespace }) => assert.deepEqual(namespace.getAll(), { a: 1, b: 2 }),
  'namespace.listKeys': ({ namespace }) => assert.deepEqual(namespace.listKeys(), ['a', 'b']),
  'namespace.count': ({ namespace }) => assert.equal(namespace.count(), 2),
  'namespace.entries': ({ namespace }) => assert.equal([...namespace.entries()].length, 2),
  'queue.stats': ({ queue }) => assert.equal(queue.stats().pending, 4),
  'queue.get': ({ queue, task }) => assert.equal(queue.get(task.id).status, 'claimed'),
  'queue.list': ({ queue }) => assert.equal(queue.list().length, 5)
}

test('while a process is stopped in a commit every write throws ERR_BUSY', stopping, async (t) => {
  const { store, writer, error, context } = await stoppedWriter(t, { prepare })
  namesTheWriter(error, writer)
  const { lastVersion } = store.stats()
  for (const [name, write] of Object.entries(writes)) {
    await t.test(name, () => {
      const begin = performance.now()
      namesTheWriter(throwsCode(() => write(context), 'ERR_BUSY'), writer)
      assert.ok(performance.now() - begin < HANG_MS, 'it hung')
    })
  }
  assert.equal(store.stats().lastVersion, lastVersion)
  resume(writer)
  const patient = openStore({ path: store.path, busyTimeout: HANG_MS })
  t.after(() => patient.close())
  for (const write of Object.values(writes)) write(prepare(patient))
})

test('a write behind queued ones of a more patient handle has its own time', stopping, async (t) => {
  const { store, writer } = await stoppedWriter(t)
  const patient = openStore({ path: store.path, busyTimeout: HANG_MS })
  t.after(() => patient.close())
  const queued = patient.async.set('theirs', 1)
  const begin = performance.now()
  namesTheWriter(throwsCode(() => store.set('ours', 1), 'ERR_BUSY'), writer)
  namesTheWriter(throwsCode(() => store.flush(), 'ERR_BUSY'), writer)
  assert.ok(performance.now() - begin < HANG_MS / 2, 'it waited with the other handle')
  resume(writer)
  assert.ok(await queued > 0)
})

test('while a process is stopped in a commit reads go on', stopping, async (t) => {
  const { store, writer, context } = await stoppedWriter(t, { prepare })
  for (const [name, read] of Object.entries(reads)) {
    await t.test(name, () => read({ ...context, writer }))
  }
  await t.test('in a process that opens the store', async () => {
    const args = { path: store.path, key: 'late', busyTimeout: 0 }
    const [waiting, { code, message }] = await runAgent(t, 'waits-to-write', args)
    assert.equal(waiting, 'waiting')
    namesTheWriter({ code, message, retryable: true }, writer)
  })
  await t.test('a backup', async () => {
    const backup = path.join(temporaryDirectory(t), 'backup')
    await rejectsCode(store.backup(backup), 'ERR_BUSY', { message: /the writer/ })
    await store.backup(backup, { compact: true })
    const copy = openStore({ path: backup, readOnly: true })
    assert.deepEqual(copy.useNamespace('ours').getAll(), { a: 1, b: 2 })
    copy.close()
  })
  await t.test('waitFor and watch of what is there', async () => {
    assert.equal(await store.useNamespace('ours').waitFor('a'), 1)
    const changes = store.useNamespace('ours').watch({ since: 0 })
    assert.equal((await changes.next()).value.key, 'a')
    await changes.return()
  })
  await t.test('close', () => store.close())
})

test('a loop over tasks ends with ERR_BUSY, and can be begun again', stopping, async (t) => {
  const { writer, store, context: { queue } } = await stoppedWriter(t, { prepare })
  await rejectsCode(queue.consume().next(), 'ERR_BUSY', { message: /the writer/ })
  resume(writer)
  const patient = openStore({ path: store.path, busyTimeout: HANG_MS })
  t.after(() => patient.close())
  const tasks = patient.useQueue('tasks').consume()
  const { value: task } = await tasks.next()
  task.complete()
  await tasks.return()
  assert.equal(queue.stats().completed, 1)
})

test('a writer that waits gets in when the stopped process goes on', stopping, async (t) => {
  const { store, writer } = await stoppedWriter(t)
  const args = { path: store.path, busyTimeout: HANG_MS * 3 }
  const waiting = ['one', 'two', 'three'].map((key) =>
    startAgent(t, 'waits-to-write', { ...args, key }))
  for (const agent of waiting) assert.equal(await agent.next(), 'waiting')
  resume(writer)
  for (const agent of waiting) assert.ok('value' in await agent.next())
  assert.deepEqual(['one', 'two', 'three'].map((key) => store.get(key)), [1, 1, 1])
})

test('a writer that waits gets in when the stopped process is killed', stopping, async (t) => {
  const { store, writer } = await stoppedWriter(t)
  const args = { path: store.path, busyTimeout: HANG_MS * 3, key: 'one' }
  const agent = startAgent(t, 'waits-to-write', args)
  assert.equal(await agent.next(), 'waiting')
  writer.kill('SIGKILL')
  assert.ok('value' in await agent.next())
  await writer.exited
  const counter = store.useNamespace('theirs').get('counter')
  assert.ok([0, 1].includes(counter - writer.counted()), 'nothing that was acknowledged is lost')
  const later = openStore(store.path)
  t.after(() => later.close())
  later.set('k', 1)
})

test('writers stopped at random moments lose nothing', stopping, async (t) => {
  const store = temporaryStore(t, { busyTimeout: 5 })
  const ours = store.useNamespace('ours')
  const random = seededRandom(t)
  const writers = [await startWriter(t, store), await startWriter(t, store)]
  let written = 0
  let refused = 0
  for (let round = 0; round < 200; round++) {
    const stopped = writers.filter(() => random.next() < 0.5)
    stopped.forEach(stop)
    for (let n = random.below(4); n >= 0; n--) {
      try {
        ours.increment('counter')
        written++
      } catch (error) {
        assert.equal(error.code, 'ERR_BUSY', error.stack)
        refused++
      }
    }
    stopped.forEach(resume)
  }
  assert.equal(ours.get('counter', 0), written)
  assert.ok(written > 0)
  t.diagnostic(`${written} written, ${refused} refused`)
  for (const writer of writers) {
    writer.kill('SIGKILL')
    await writer.exited
  }
  const counter = store.useNamespace('theirs').get('counter')
  const highest = Math.max(...writers.map((writer) => writer.counted()))
  assert.ok(counter >= highest && counter <= highest + 2)
})

test('openStore throws ERR_BUSY while a process is stopped in opening', stopping, async (t) => {
  const directory = path.join(temporaryDirectory(t), 'store')
  const options = { path: directory, agent: 'the opener' }
  openStore(options).close()
  const opener = startAgent(t, 'reopens', options)
  assert.equal(await opener.next(), 'ready')
  const open = () => openStore({ path: directory, busyTimeout: 5 }).close()
  const named = `process ${opener.pid} (agent "the opener")`
  let error
  for (;;) {
    error = stopInside(opener, open)
    assert.equal(error.retryable, true)
    assert.match(error.message, /5 ms .* opening the store/)
    if (error.message.includes(named)) break
    // Between taking the lock and saying so, and between taking that back and letting the lock go.
    assert.match(error.message, /another process, not known which/)
    resume(opener)
  }
  throwsCode(() => openStore({ path: directory, readOnly: true, busyTimeout: 0 }), 'ERR_BUSY')
  // Other stores are no concern of it.
  temporaryStore(t).set('k', 1)
  opener.kill('SIGKILL')
  await opener.exited
  openStore({ path: directory, busyTimeout: 0 }).close()
})

test('with a busyTimeout of 0 a write that nobody hinders goes through', (t) => {
  const store = temporaryStore(t, { busyTimeout: 0 })
  for (let n = 1; n <= 100; n++) assert.equal(store.useNamespace('n').increment('counter'), n)
})

test('busyTimeout is a number of milliseconds', (t) => {
  const directory = path.join(temporaryDirectory(t), 'store')
  for (const busyTimeout of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
    throwsCode(() => openStore({ path: directory, busyTimeout }), 'ERR_INVALID_OPTION',
      { type: RangeError, message: /busyTimeout/ })
  }
  for (const busyTimeout of ['5', null, true, 5n]) {
    throwsCode(() => openStore({ path: directory, busyTimeout }), 'ERR_INVALID_OPTION',
      { type: TypeError, message: /busyTimeout/ })
  }
  assert.equal(fs.existsSync(directory), false)
  openStore({ path: directory, busyTimeout: Number.MAX_SAFE_INTEGER }).close()
})
