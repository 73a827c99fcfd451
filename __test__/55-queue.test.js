'use strict'

// What queues promise, in one process. 56-queue-processes.test.js has several.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('..')
const { rejectsCode, temporaryStore, throwsCode } = require('./support/store')

const temporaryQueue = (t, options) => temporaryStore(t).useQueue('jobs', options)

/** Waits for what no event announces: that a time has come. */
async function until (holds) {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1))
}

const counts = (given) =>
  ({ pending: 0, delayed: 0, claimed: 0, completed: 0, dead: 0, ...given })

// ------------------------------------------------------------------------------ push and claim

test('tasks are claimed in the order in which they were pushed', (t) => {
  const queue = temporaryQueue(t)
  const ids = [queue.push('first'), ...queue.pushMany(['second', 'third']), queue.push('fourth')]
  assert.equal(new Set(ids).size, 4)
  assert.deepEqual(queue.stats(), counts({ pending: 4 }))
  const claimed = [queue.claim(), queue.claim(), queue.claim(), queue.claim()]
  assert.deepEqual(claimed.map(({ id }) => id), ids)
  assert.deepEqual(claimed.map(({ item }) => item), ['first', 'second', 'third', 'fourth'])
  assert.equal(queue.claim(), undefined)
  assert.deepEqual(queue.stats(), counts({ claimed: 4 }))
})

test('a task names its id, item and attempt, which cannot be changed', (t) => {
  const queue = temporaryQueue(t)
  queue.push({ file: 'a.txt' }, { id: 'a' })
  const task = queue.claim()
  assert.deepEqual({ ...task }, { id: 'a', item: { file: 'a.txt' }, attempt: 1 })
  assert.throws(() => { task.attempt = 2 }, TypeError)
  assert.equal(queue.name, 'jobs')
})

test('pushing an id that exists is ignored, whatever became of the task', (t) => {
  const queue = temporaryQueue(t, { maxAttempts: 1 })
  const again = (status) => {
    assert.equal(queue.push('again', { id: 'a' }), 'a')
    assert.equal(queue.push('again', { id: 'a', delay: 60_000 }), 'a')
    const { item, status: found } = queue.get('a')
    assert.deepEqual([item, found], ['once', status])
  }
  queue.push('once', { id: 'a', delay: 60_000 })
  again('delayed')
  queue.clear()
  queue.push('once', { id: 'a' })
  again('pending')
  const task = queue.claim()
  again('claimed')
  task.fail('no')
  again('dead')
  queue.retryDead()
  queue.claim().complete()
  again('completed')
  assert.deepEqual(queue.stats(), counts({ completed: 1 }))
})

test('pushMany is one commit; a push that is ignored and a claim of nothing are none', (t) => {
  const store = temporaryStore(t)
  const queue = store.useQueue('jobs')
  const commitsOf = (fn) => {
    const before = store.stats().lastVersion
    fn()
    return store.stats().lastVersion - before
  }
  assert.equal(commitsOf(() => queue.claim()), 0)
  assert.equal(commitsOf(() => queue.pushMany(Array(1000).fill('item'))), 1)
  assert.equal(commitsOf(() => queue.pushMany([])), 0)
  assert.equal(commitsOf(() => queue.clear()), 1)
  assert.equal(commitsOf(() => queue.clear()), 0)
  assert.equal(commitsOf(() => queue.retryDead()), 0)
  queue.push('item', { id: 'a' })
  assert.equal(commitsOf(() => queue.push('item', { id: 'a' })), 0)
  queue.claim()
  assert.equal(commitsOf(() => queue.claim()), 0)
})

test('queues are apart from each other and from namespaces of the same name', (t) => {
  const store = temporaryStore(t)
  const names = ['a', 'aa', 'b', '\u{1F600}', 'files:@scope/repo | a b']
  const queues = names.map((name) => store.useQueue(name))
  queues.forEach((queue, n) => queue.push(n, { id: 'the same' }))
  store.useNamespace('a').set('key', 'value')
  assert.equal(queues[0].clear(), 1)
  assert.equal(queues[0].get('the same'), undefined)
  queues.slice(1).forEach((queue, n) => assert.equal(queue.claim().item, n + 1))
  assert.deepEqual(store.listNamespaces(), ['a'])
})

test('items of every kind and size, and ids of every character', (t) => {
  const queue = temporaryQueue(t)
  const items = [null, 0, '', [], new Map([[1, new Set([2])]]), new Uint8Array(3), 10n ** 30n,
    { nested: { deeply: [undefined] } }, 'x'.repeat(1_000_000)]
  const ids = ['a', '\0', 'a\0b', '__proto__', '\u{1F600}', '\ufffd', ' ', 'x'.repeat(1024), '0']
  items.forEach((item, n) => queue.push(item, { id: ids[n] }))
  assert.deepEqual(queue.list().map(({ id, item }) => [id, item]), items.map((item, n) =>
    [ids[n], item]))
  for (let n = 0; n < items.length; n++) {
    assert.deepEqual(queue.get(ids[n]).item, items[n])
    const task = queue.claim()
    assert.deepEqual([task.id, task.item], [ids[n], items[n]])
    task.complete(task.item)
  }
  const results = queue.results()
  assert.deepEqual(Object.keys(results).sort(), [...ids].sort())
  ids.forEach((id, n) => assert.deepEqual(Object.getOwnPropertyDescriptor(results, id).value,
    items[n]))
})

// ------------------------------------------------------------------------------ time

test('a delayed task is pending once its time has come, and claimed by its time', async (t) => {
  const queue = temporaryQueue(t)
  const delayed = () => queue.list({ status: 'delayed' }).map(({ id }) => id)
  queue.push('never', { id: 'never', delay: 315_576_000_000_000 })
  queue.push('in a day', { id: 'in a day', delay: 86_400_000 })
  assert.equal(queue.claim(), undefined)
  assert.deepEqual(delayed(), ['in a day', 'never'])
  queue.push('later', { id: 'later', delay: 40 })
  queue.push('soon', { id: 'soon', delay: 1 })
  await until(() => queue.stats().pending === 2)
  assert.deepEqual(queue.stats(), counts({ pending: 2, delayed: 2 }))
  assert.equal(queue.get('soon').status, 'pending')
  assert.deepEqual(queue.list({ status: 'pending' }).map(({ id }) => id), ['soon', 'later'])
  assert.deepEqual(delayed(), ['in a day', 'never'])
  assert.deepEqual([queue.claim().id, queue.claim().id, queue.claim()], ['soon', 'later', undefined])
})

test('many tasks that are due at once are all claimed, in their order', async (t) => {
  const queue = temporaryQueue(t)
  const ids = Array.from({ length: 200 }, (_, n) => `task ${n}`)
  for (const id of ids) queue.push(null, { id, delay: 1 })
  await until(() => queue.stats().pending === 200)
  assert.deepEqual(ids.map(() => queue.claim().id), ids)
})

test('a task whose lease ran out is claimed again, before those that wait', async (t) => {
  const queue = temporaryQueue(t, { lease: 1 })
  queue.push('first', { id: 'first' })
  queue.push('second')
  const task = queue.claim()
  const { status, claimedBy, leaseExpiresAt } = queue.get('first')
  assert.deepEqual([status, claimedBy], ['claimed', '55-queue.test'])
  await until(() => Date.now() >= leaseExpiresAt.getTime())
  const again = queue.claim()
  assert.deepEqual([again.id, again.attempt], ['first', 2])
  for (const step of [() => task.complete(), () => task.renew(), () => task.fail('no')]) {
    throwsCode(step, 'ERR_LEASE_LOST', { message: /attempt 1 ran out, and "55-queue.test" has/ })
  }
  again.complete()
  throwsCode(() => task.complete(), 'ERR_LEASE_LOST', { message: /has completed it \(attempt 2\)/ })
})

test('a task is completed after its lease ran out if nobody else has claimed it', async (t) => {
  const queue = temporaryQueue(t, { lease: 1 })
  queue.push('item', { id: 'a' })
  const task = queue.claim()
  await until(() => Date.now() > queue.get('a').leaseExpiresAt.getTime())
  task.complete('late')
  assert.deepEqual(queue.results(), { a: 'late' })
})

test('renew moves the end of the lease, also nearer', (t) => {
  const queue = temporaryQueue(t, { lease: 10_000 })
  queue.push('item', { id: 'a' })
  const task = queue.claim()
  const leftMs = () => queue.get('a').leaseExpiresAt.getTime() - Date.now()
  task.renew(1_000_000)
  assert.ok(leftMs() > 500_000)
  task.renew()
  assert.ok(leftMs() <= 10_000)
  task.renew(24 * 60 * 60 * 1000)
  task.complete()
})

test('tasks whose last lease ran out are dead, and say so, however many', async (t) => {
  const queue = temporaryQueue(t, { lease: 1, maxAttempts: 1 })
  const ids = queue.pushMany(Array(150).fill('item'))
  const claimed = ids.map(() => queue.claim() ?? queue.claim())
  assert.equal(claimed.length, 150)
  await until(() => queue.claim() === undefined && queue.stats().dead === 150)
  assert.match(queue.get(ids[0]).error, /the lease of attempt 1, claimed by "55-.*", ran out/)
  throwsCode(() => claimed[0].complete(), 'ERR_LEASE_LOST', { message: /it is dead/ })
})

// ------------------------------------------------------------------------------ the ends of a task

test('a task that fails goes to the end of the queue, and is dead after maxAttempts', (t) => {
  const queue = temporaryQueue(t, { maxAttempts: 2 })
  queue.push('bad', { id: 'bad' })
  queue.push('good', { id: 'good' })
  queue.claim().fail(new Error('it broke'))
  assert.deepEqual(queue.get('bad'),
    { id: 'bad', item: 'bad', status: 'pending', attempt: 1, error: 'it broke' })
  assert.equal(queue.claim().id, 'good')
  const task = queue.claim()
  assert.deepEqual([task.id, task.attempt], ['bad', 2])
  task.fail('again')
  throwsCode(() => task.fail('again'), 'ERR_LEASE_LOST', { message: /this attempt was its last/ })
  assert.deepEqual(queue.list({ status: 'dead' }),
    [{ id: 'bad', item: 'bad', status: 'dead', attempt: 2, error: 'again' }])
  assert.deepEqual(queue.stats(), counts({ claimed: 1, dead: 1 }))
})

test('retryDead gives a fresh budget; the attempt goes on growing', (t) => {
  const queue = temporaryQueue(t, { maxAttempts: 1 })
  const ids = queue.pushMany(['a', 'b'])
  for (let round = 1; round <= 3; round++) {
    for (const id of ids) {
      const task = queue.claim()
      assert.deepEqual([task.id, task.attempt], [id, round])
      task.fail(`round ${round}`)
    }
    assert.equal(queue.claim(), undefined)
    assert.equal(queue.retryDead(), 2)
    assert.equal(queue.retryDead(), 0)
  }
  const task = queue.claim()
  task.complete('at last')
  assert.equal(queue.get(task.id).error, undefined)
})

test('retryIn delays the next attempt', (t) => {
  const queue = temporaryQueue(t)
  queue.push('item', { id: 'a' })
  const task = queue.claim()
  task.fail('not yet', { retryIn: 60_000 })
  assert.equal(queue.get('a').status, 'delayed')
  assert.equal(queue.claim(), undefined)
  throwsCode(() => task.complete(), 'ERR_LEASE_LOST', { message: /back in the queue/ })
})

test('what is thrown becomes text, cut at 4 KiB', (t) => {
  const queue = temporaryQueue(t, { maxAttempts: 100 })
  queue.push('item', { id: 'a' })
  const cases = [
    [new TypeError('message'), 'message'], ['text', 'text'], [undefined, 'undefined'],
    [null, 'null'], [Symbol('s'), 'Symbol(s)'], [{ message: 'own' }, 'own'], ['', ''],
    ['\ud800', '\ufffd'], ['\u{1F600}'.repeat(2000), '\u{1F600}'.repeat(1024)],
    [`a${'\u{1F600}'.repeat(2000)}`, `a${'\u{1F600}'.repeat(1023)}`],
    [Object.create(null), 'an error that cannot be shown as a string']
  ]
  for (const [error, text] of cases) {
    queue.claim().fail(error)
    assert.equal(queue.get('a').error, text)
  }
})

test('results holds what was completed, undefined included', (t) => {
  const queue = temporaryQueue(t)
  queue.push(1, { id: 'value' })
  queue.push(2, { id: 'nothing' })
  queue.push(3, { id: '__proto__' })
  queue.push(4, { id: 'open' })
  queue.claim().complete({ sum: 1 })
  queue.claim().complete()
  queue.claim().complete(null)
  assert.deepEqual(Object.entries(queue.results()),
    [['value', { sum: 1 }], ['nothing', undefined], ['__proto__', null]])
  assert.deepEqual(queue.get('nothing'),
    { id: 'nothing', item: 2, status: 'completed', attempt: 1 })
  assert.deepEqual(queue.get('value').result, { sum: 1 })
  assert.equal(queue.results().toString, Object.prototype.toString)
})

test('list goes by status and then by the order of each', (t) => {
  const queue = temporaryQueue(t, { maxAttempts: 1 })
  for (const id of ['completed', 'dead', 'claimed', 'pending', 'pending 2']) queue.push(id, { id })
  queue.push('delayed', { id: 'delayed', delay: 60_000 })
  queue.claim().complete()
  queue.claim().fail('no')
  queue.claim()
  const ids = (options) => queue.list(options).map(({ id }) => id)
  const all = ['pending', 'pending 2', 'delayed', 'claimed', 'completed', 'dead']
  assert.deepEqual(ids(), all)
  for (let limit = 0; limit <= 7; limit++) assert.deepEqual(ids({ limit }), all.slice(0, limit))
  for (const { id, status } of queue.list()) {
    assert.ok(id.startsWith(status))
    assert.deepEqual(ids({ status }), all.filter((id) => id.startsWith(status)))
  }
  assert.deepEqual(ids({ status: 'pending', limit: 1 }), ['pending'])
})

test('clear removes tasks of every status, and what is held is lost', (t) => {
  const queue = temporaryQueue(t)
  queue.pushMany(Array.from({ length: 1000 }, (_, n) => n))
  queue.push('delayed', { delay: 1000 })
  queue.claim().complete('result')
  const task = queue.claim()
  assert.equal(queue.clear(), 1001)
  throwsCode(() => task.complete(), 'ERR_LEASE_LOST', { message: /the queue was cleared/ })
  assert.deepEqual(queue.stats(), counts())
  assert.deepEqual([queue.list(), queue.results(), queue.claim()], [[], {}, undefined])
})

// ------------------------------------------------------------------------------ bad input

test('what cannot be a queue is refused', (t) => {
  const store = temporaryStore(t)
  const refused = (code, type, ...args) => throwsCode(() => store.useQueue(...args), code, { type })
  for (const name of [undefined, null, 1, {}]) refused('ERR_INVALID_NAMESPACE', TypeError, name)
  for (const name of ['', 'a\nb', '\u0001queues', 'n'.repeat(513), '\ud800']) {
    refused('ERR_INVALID_NAMESPACE', Error, name)
  }
  store.useQueue('n'.repeat(512), { lease: 1, maxAttempts: 1 })
  store.useQueue('n', { lease: 86_400_000, maxAttempts: 1_000_000 })
  for (const lease of [0, -1, 1.5, NaN, Infinity, 86_400_001]) {
    refused('ERR_INVALID_OPTION', RangeError, 'n', { lease })
  }
  for (const maxAttempts of [0, -1, 0.5, 1_000_001]) {
    refused('ERR_INVALID_OPTION', RangeError, 'n', { maxAttempts })
  }
  for (const options of [null, 1, 'a', [], { lease: '1' }, { maxAttempts: null }]) {
    refused('ERR_INVALID_OPTION', TypeError, 'n', options)
  }
  throwsCode(() => store.useQueue('n', { maxAttempt: 1 }), 'ERR_INVALID_OPTION',
    { type: TypeError, message: /did you mean maxAttempts/ })
})

test('what cannot be a task is refused, and nothing is pushed', (t) => {
  const queue = temporaryQueue(t)
  const circular = []
  circular.push(circular)
  for (const item of [undefined, () => {}, Symbol('s'), circular]) {
    throwsCode(() => queue.push(item), 'ERR_INVALID_VALUE', { type: TypeError })
    throwsCode(() => queue.pushMany([1, item]), 'ERR_INVALID_VALUE', { type: TypeError })
  }
  // The position is named, for the ids are generated ones.
  for (const item of [undefined, { f () {} }, circular]) {
    const error = throwsCode(() => queue.push(item), 'ERR_INVALID_VALUE', { type: TypeError })
    assert.match(error.message, /\bitem\b/)
    assert.doesNotMatch(error.stack, /[0-9a-f]{8}-/)
    const many = throwsCode(() => queue.pushMany([0, 1, 2, item, 4]), 'ERR_INVALID_VALUE',
      { type: TypeError, message: /\bitem 3\b/ })
    assert.doesNotMatch(many.stack, /[0-9a-f]{8}-/)
  }
  for (const items of [undefined, null, 1, {}, 'text']) {
    throwsCode(() => queue.pushMany(items), 'ERR_INVALID_VALUE', { type: TypeError })
  }
  for (const id of [1, null, {}]) {
    throwsCode(() => queue.push(1, { id }), 'ERR_INVALID_KEY', { type: TypeError })
  }
  for (const id of ['', '\ud800']) throwsCode(() => queue.push(1, { id }), 'ERR_INVALID_KEY')
  throwsCode(() => queue.push(1, { id: 'i'.repeat(1025) }), 'ERR_KEY_TOO_LONG')
  for (const delay of [-1, 1.5, NaN, 315_576_000_000_001]) {
    throwsCode(() => queue.push(1, { delay }), 'ERR_INVALID_OPTION', { type: RangeError })
  }
  throwsCode(() => queue.push(1, { dealy: 1 }), 'ERR_INVALID_OPTION', { message: /mean delay/ })
  throwsCode(() => queue.pushMany([1], { delay: 1 }), 'ERR_INVALID_OPTION')
  assert.deepEqual(queue.stats(), counts())
})

test('steps with bad arguments are refused, and the task stays with its worker', (t) => {
  const queue = temporaryQueue(t)
  queue.push('item', { id: 'a' })
  const task = queue.claim()
  for (const ms of [0, -1, 1.5, 86_400_001]) {
    throwsCode(() => task.renew(ms), 'ERR_INVALID_OPTION', { type: RangeError })
  }
  throwsCode(() => task.renew('1'), 'ERR_INVALID_OPTION', { type: TypeError })
  throwsCode(() => task.complete(() => {}), 'ERR_INVALID_VALUE', { type: TypeError })
  throwsCode(() => task.complete(1, {}), 'ERR_INVALID_OPTION', { type: TypeError })
  throwsCode(() => task.fail('e', { retry: 1 }), 'ERR_INVALID_OPTION', { message: /mean retryIn/ })
  throwsCode(() => task.fail('e', { retryIn: -1 }), 'ERR_INVALID_OPTION', { type: RangeError })
  assert.equal(queue.get('a').status, 'claimed')
  task.complete()
})

test('reads with bad arguments are refused', async (t) => {
  const queue = temporaryQueue(t)
  for (const id of [undefined, 1, null]) {
    throwsCode(() => queue.get(id), 'ERR_INVALID_KEY', { type: TypeError })
  }
  throwsCode(() => queue.get('i'.repeat(1025)), 'ERR_KEY_TOO_LONG')
  assert.equal(queue.get('nothing'), undefined)
  for (const status of ['done', '', 'toString', 1, null]) {
    throwsCode(() => queue.list({ status }), 'ERR_INVALID_OPTION', { type: TypeError })
  }
  throwsCode(() => queue.list({ limit: -1 }), 'ERR_INVALID_OPTION', { type: RangeError })
  throwsCode(() => queue.list({ state: 'dead' }), 'ERR_INVALID_OPTION', { message: /status/ })
  throwsCode(() => queue.consume({ signal: {} }), 'ERR_INVALID_OPTION', { type: TypeError })
  throwsCode(() => queue.consume({ sginal: 1 }), 'ERR_INVALID_OPTION', { message: /mean signal/ })
  await rejectsCode(queue.drained({ signal: 1 }), 'ERR_INVALID_OPTION', { type: TypeError })
})

test('a read-only store reads queues, and does not write to them', async (t) => {
  const store = temporaryStore(t)
  const queue = store.useQueue('jobs')
  queue.push('item', { id: 'a' })
  const reader = openStore({ path: store.path, readOnly: true })
  t.after(() => reader.close())
  const read = reader.useQueue('jobs')
  assert.equal(read.get('a').item, 'item')
  assert.deepEqual([read.list().length, read.results(), read.stats().pending], [1, {}, 1])
  for (const write of [
    () => read.push(1), () => read.pushMany([1]), () => read.claim(), () => read.retryDead(),
    () => read.clear()
  ]) throwsCode(write, 'ERR_READ_ONLY')
  await rejectsCode(read.consume().next(), 'ERR_READ_ONLY')
  const drained = read.drained()
  queue.clear()
  await drained
})

test('a closed store refuses every call of a queue and of its tasks', async (t) => {
  const store = temporaryStore(t)
  const queue = store.useQueue('jobs')
  queue.push('item')
  const task = queue.claim()
  store.close()
  for (const call of [
    () => queue.push(1), () => queue.pushMany([1]), () => queue.claim(), () => queue.get('a'),
    () => queue.list(), () => queue.results(), () => queue.stats(), () => queue.retryDead(),
    () => queue.clear(), () => task.renew(), () => task.complete(), () => task.fail('e'),
    () => store.useQueue('jobs')
  ]) throwsCode(call, 'ERR_CLOSED')
  await rejectsCode(queue.drained(), 'ERR_CLOSED')
  assert.deepEqual(await queue.consume().next(), { value: undefined, done: true })
})

// ------------------------------------------------------------------------------ consume

test('a loop takes what is there, then sleeps until there is more', async (t) => {
  const queue = temporaryQueue(t)
  queue.pushMany(['a', 'b'])
  const stop = new AbortController()
  const taken = []
  const loop = (async () => {
    for await (const task of queue.consume({ signal: stop.signal })) {
      taken.push([task.item, task.attempt])
      task.complete()
      if (task.item === 'last') stop.abort()
    }
  })()
  await queue.drained()
  queue.push('c')
  await queue.drained()
  queue.push('delayed', { delay: 20 })
  await queue.drained()
  queue.push('last')
  await loop
  assert.deepEqual(taken, ['a', 'b', 'c', 'delayed', 'last'].map((item) => [item, 1]))
})

test('a loop is woken by a lease that runs out', async (t) => {
  const queue = temporaryQueue(t, { lease: 30 })
  queue.push('item')
  const task = queue.claim()
  const { value } = await queue.consume().next()
  assert.deepEqual([value.id, value.attempt], [task.id, 2])
  value.complete()
})

test('several pending next() calls get one task each, in their order', async (t) => {
  const queue = temporaryQueue(t)
  const tasks = queue.consume()
  const pending = [tasks.next(), tasks.next(), tasks.next()]
  queue.push('a')
  queue.push('b')
  queue.push('c')
  const items = (await Promise.all(pending)).map(({ value }) => value.item)
  assert.deepEqual(items, ['a', 'b', 'c'])
  await tasks.return()
})

test('two loops share the tasks, and each gets its own', async (t) => {
  const queue = temporaryQueue(t)
  const stop = new AbortController()
  const taken = []
  const loop = async () => {
    for await (const task of queue.consume({ signal: stop.signal })) {
      taken.push(task.item)
      await null
      task.complete()
    }
  }
  const loops = [loop(), loop()]
  const items = Array.from({ length: 100 }, (_, n) => n)
  queue.pushMany(items)
  await queue.drained()
  stop.abort()
  await Promise.all(loops)
  assert.deepEqual(taken.sort((a, b) => a - b), items)
})

test('an aborted signal ends the loop, before it or while it waits', async (t) => {
  const queue = temporaryQueue(t)
  queue.push('item')
  const aborted = queue.consume({ signal: AbortSignal.abort() })
  assert.deepEqual(await aborted.next(), { value: undefined, done: true })
  assert.deepEqual(queue.stats(), counts({ pending: 1 }))
  queue.clear()
  const stop = new AbortController()
  const tasks = queue.consume({ signal: stop.signal })
  const pending = [tasks.next(), tasks.next()]
  stop.abort()
  const end = { value: undefined, done: true }
  assert.deepEqual(await Promise.all([...pending, tasks.next()]), [end, end, end])
  queue.push('item')
  assert.deepEqual(await tasks.next(), end)
  assert.deepEqual(queue.stats(), counts({ pending: 1 }))
})

test('break and return() end the iteration, also for those who wait', async (t) => {
  const queue = temporaryQueue(t)
  queue.pushMany(['a', 'b'])
  for await (const task of queue.consume()) {
    if (task.item === 'a') break
  }
  assert.deepEqual(queue.stats(), counts({ pending: 1, claimed: 1 }))
  queue.clear()
  const tasks = queue.consume()
  const pending = tasks.next()
  assert.deepEqual(await tasks.return('given'), { value: 'given', done: true })
  assert.deepEqual(await pending, { value: undefined, done: true })
})

test('closing the store ends a loop and fails drained()', async (t) => {
  const store = temporaryStore(t)
  const queue = store.useQueue('jobs')
  const pending = queue.consume().next()
  queue.push('item', { delay: 60_000 })
  const drained = queue.drained()
  store.close()
  assert.deepEqual(await pending, { value: undefined, done: true })
  await rejectsCode(drained, 'ERR_CLOSED')
})

test('a body that outlives its lease keeps the task, until it is over', async (t) => {
  const queue = temporaryQueue(t, { lease: 1500 })
  queue.push('item', { id: 'a' })
  const tasks = queue.consume()
  const { value: task } = await tasks.next()
  const granted = queue.get('a').leaseExpiresAt
  await until(() => queue.get('a').leaseExpiresAt > granted)
  const later = queue.get('a').leaseExpiresAt
  await until(() => queue.get('a').leaseExpiresAt > later)
  assert.equal(queue.claim(), undefined)
  // The body is over without an end for the task: the lease runs out.
  const next = tasks.next()
  const { value: again } = await next
  assert.deepEqual([again.id, again.attempt], ['a', 2])
  throwsCode(() => task.complete(), 'ERR_LEASE_LOST')
  again.complete()
  await tasks.return()
})

test('a longer lease that the body asked for is not shortened', async (t) => {
  const queue = temporaryQueue(t, { lease: 1500 })
  queue.push('long', { id: 'long' })
  queue.push('short', { id: 'short' })
  const tasks = queue.consume()
  const [{ value: long }] = await Promise.all([tasks.next(), tasks.next()])
  long.renew(60_000)
  const { leaseExpiresAt } = queue.get('long')
  const short = queue.get('short').leaseExpiresAt
  await until(() => queue.get('short').leaseExpiresAt > short)
  assert.deepEqual(queue.get('long').leaseExpiresAt, leaseExpiresAt)
  await tasks.return()
})

test('drained resolves at once, later, or not at all', async (t) => {
  const queue = temporaryQueue(t, { maxAttempts: 1 })
  await queue.drained()
  const reason = new Error('enough')
  await assert.rejects(queue.drained({ signal: AbortSignal.abort(reason) }), reason)
  queue.push('item')
  queue.push('item', { delay: 1 })
  const stop = new AbortController()
  const aborted = assert.rejects(queue.drained({ signal: stop.signal }), reason)
  stop.abort(reason)
  await aborted
  let isDrained = false
  const drained = queue.drained().then(() => { isDrained = true })
  queue.claim().complete()
  await until(() => queue.stats().delayed === 0)
  assert.equal(isDrained, false)
  queue.claim().fail('dead is drained too')
  await drained
})

test('a loop over a long queue lets other events come between its tasks', async (t) => {
  const queue = temporaryQueue(t)
  queue.pushMany(Array.from({ length: 50 }, (_, n) => n))
  const controller = new AbortController()
  setImmediate(() => controller.abort())
  let done = 0
  for await (const task of queue.consume({ signal: controller.signal })) {
    task.complete()
    done += 1
  }
  assert.ok(done > 0 && done < 50, `${done} tasks`)
})

// ------------------------------------------------------------------------------ another task

test('after clear, who held a task cannot end the new one of the same id, nor renew it', (t) => {
  const queue = temporaryQueue(t)
  queue.push('old', { id: 'x' })
  const old = queue.claim()
  queue.clear()
  queue.push('new', { id: 'x' })
  const task = queue.claim()
  assert.deepEqual([task.item, task.attempt], ['new', 1])
  const { leaseExpiresAt } = queue.get('x')
  const message = /the queue was cleared/
  for (const step of [() => old.renew(60_000), () => old.complete('stale'), () => old.fail('no')]) {
    throwsCode(step, 'ERR_LEASE_LOST', { message })
  }
  assert.deepEqual(queue.get('x').leaseExpiresAt, leaseExpiresAt)
  task.complete('right')
  throwsCode(() => old.complete('stale'), 'ERR_LEASE_LOST', { message })
  assert.deepEqual(queue.results(), { x: 'right' })
})

test('a loop body whose queue was cleared does not keep the new task of its id', async (t) => {
  const queue = temporaryQueue(t, { lease: 1000 })
  queue.push('old', { id: 'x' })
  const tasks = queue.consume()
  await tasks.next()
  queue.clear()
  queue.push('new', { id: 'x' })
  assert.equal(queue.claim().item, 'new')
  const { leaseExpiresAt } = queue.get('x')
  let again
  await until(() => {
    assert.deepEqual(queue.get('x').leaseExpiresAt, leaseExpiresAt, 'nobody renews it')
    return Date.now() > leaseExpiresAt && (again = queue.claim()) !== undefined
  })
  assert.deepEqual([again.item, again.attempt], ['new', 2])
  await tasks.return()
})

// ------------------------------------------------------------------------------ a full store

/** Fills a store to the last page. */
function fill (store, queue) {
  const namespace = store.useNamespace('rest')
  throwsCode(() => { for (;;) queue.push('x'.repeat(3000)) }, 'ERR_STORE_FULL')
  throwsCode(() => { for (let n = 0; ; n++) namespace.set(`key ${n}`, n) }, 'ERR_STORE_FULL')
}

test('a full store takes every step but a push', async (t) => {
  const store = temporaryStore(t, { maxSize: 16 * 1024 * 1024 })
  const queue = store.useQueue('jobs', { lease: 1500, maxAttempts: 1 })
  queue.pushMany(['a', 'b', 'c', 'd', 'e'])
  const [a, b, c, d] = Array.from({ length: 4 }, () => queue.claim())
  const tasks = queue.consume()
  const { value: body } = await tasks.next()
  fill(store, queue)
  const { leaseExpiresAt } = queue.get(body.id)
  d.renew(60_000)
  a.complete()
  b.complete('result')
  c.fail('a reason')
  assert.deepEqual([queue.get(a.id).status, queue.get(c.id).status], ['completed', 'dead'])
  assert.deepEqual([queue.get(b.id).result, queue.retryDead()], ['result', 1])
  assert.ok(queue.claim())
  await until(() => queue.get(body.id).leaseExpiresAt > leaseExpiresAt)
  body.complete()
  assert.ok(queue.clear() > 1000)
  queue.push('there is room again')
  await tasks.return()
})

test('a store that steps have filled to the end of its reserve can still be cleared', (t) => {
  const store = temporaryStore(t, { maxSize: 1024 * 1024 })
  const queue = store.useQueue('jobs')
  fill(store, queue)
  throwsCode(() => {
    for (;;) queue.claim().complete('x'.repeat(100_000))
  }, 'ERR_STORE_FULL')
  assert.ok(queue.clear() > 100)
  queue.push('there is room again')
})

// ------------------------------------------------------------------------------ damage

/** The key of a row of a queue, as docs/format.md has it. */
const rowKey = (queue, kind, id = '') =>
  Buffer.concat([Buffer.from([0, queue.length]), Buffer.from(queue), Buffer.from([kind]),
    Buffer.from(id)])

/** Flips a bit of every copy of a row in the data file, so many bytes behind the start of its key. */
function damage (store, key, offset) {
  const file = fs.openSync(path.join(store.path, 'data.mdb'), 'r+')
  try {
    const data = fs.readFileSync(file)
    let found = 0
    for (let at = data.indexOf(key); at >= 0; at = data.indexOf(key, at + 1), found++) {
      fs.writeSync(file, Buffer.from([data[at + offset] ^ 1]), 0, 1, at + offset)
    }
    assert.ok(found > 0, 'the row is there')
  } finally {
    fs.closeSync(file)
  }
}

test('one damaged task does not end the renewal of other leases', async (t) => {
  const store = temporaryStore(t)
  const [one, other] = ['AAAA', 'BBBB'].map((name) => store.useQueue(name, { lease: 1500 }))
  one.push('item', { id: 'damaged' })
  other.push('item', { id: 'sound' })
  const loops = [one.consume(), other.consume()]
  await Promise.all(loops.map((tasks) => tasks.next()))
  const key = rowKey('AAAA', 2, 'damaged')
  damage(store, key, key.length + 8)
  throwsCode(() => one.get('damaged'), 'ERR_CORRUPT')
  const granted = other.get('sound').leaseExpiresAt
  await until(() => {
    assert.ok(Date.now() < granted.getTime() + 60_000, 'the lease is renewed')
    return other.get('sound').leaseExpiresAt > granted
  })
  await Promise.all(loops.map((tasks) => tasks.return()))
})

test('a queue whose counts are damaged can be cleared', (t) => {
  const store = temporaryStore(t)
  const queue = store.useQueue('AAAA')
  queue.pushMany(['first', 'second', 'third'])
  queue.claim().complete('result')
  const key = rowKey('AAAA', 0)
  damage(store, key, key.length + 6)
  throwsCode(() => queue.stats(), 'ERR_CORRUPT')
  throwsCode(() => queue.push('item'), 'ERR_CORRUPT')
  assert.equal(queue.clear(), 3)
  queue.push('item')
  assert.deepEqual(queue.stats(), counts({ pending: 1 }))
})

test('a result that is lost is ERR_CORRUPT, not undefined', (t) => {
  const store = temporaryStore(t)
  const queue = store.useQueue('AAAA')
  queue.push('item', { id: 'a task' })
  queue.claim().complete('result')
  const key = rowKey('AAAA', 4, 'a task')
  damage(store, key, key.length - 1)
  const message = /lost a result/
  for (const read of [() => queue.get('a task'), () => queue.list(), () => queue.results()]) {
    throwsCode(read, 'ERR_CORRUPT', { message })
  }
})

test('a task is not claimed inside a transaction of the same store', (t) => {
  const store = temporaryStore(t)
  store.transaction(() => throwsCode(() => store.useQueue('jobs').claim(), 'ERR_INVALID_OPTION', {
    message: /transaction/
  }))
})
