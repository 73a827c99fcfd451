'use strict'

// Queues between real processes, some of which are killed, stopped, or have another clock.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { startAgent } = require('./support/agents')
const { seededRandom } = require('./support/random')
const { temporaryStore } = require('./support/store')

const hour = 3_600_000
const hasFaketime = spawnSync('faketime', ['--version']).status === 0
const needsFaketime = { skip: hasFaketime ? false : 'faketime is not installed' }

/** An agent whose clock is so much ahead ("+1h") or behind, as if it had been set: the clock that
 *  measures waits goes on. The agent ends with its input, because the program that sets the clock
 *  stands between it and a signal. */
function startWithClock (t, offset, args) {
  const command = ['faketime', '--exclude-monotonic', '-f', offset]
  const agent = startAgent(t, 'queue-claim', args, { command })
  const end = () => agent.child.stdin.end()
  t.after(end)
  return { ...agent, end }
}

/** Waits for what no event announces: that a time has come. */
async function until (holds) {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 1))
}

/** Follows what a worker says into `log`, by the kind of line; kills it at the given line. */
async function follow (worker, log, lines) {
  for (let line = await worker.next(); line !== undefined; line = await worker.next()) {
    for (const kind of Object.keys(log)) if (kind in line) log[kind].push(line)
    if (--lines === 0) worker.kill('SIGKILL')
  }
}

test('1,000 tasks over 4 workers that are killed at random are completed exactly once', async (t) => {
  const random = seededRandom(t)
  const { path, queue } = queueOf(t, { lease: 300, maxAttempts: 1000 })
  const ids = queue.pushMany(Array.from({ length: 1000 }, (_, n) => n))
  const log = { claimed: [], completed: [], refused: [] }
  const drained = queue.drained().then(() => true)
  const isOver = () => Promise.race([drained, Promise.resolve(false)])
  let kills = 0
  const slot = async (name) => {
    while (!await isOver()) {
      const args = { path, agent: name, lease: 300, work: 'finish' }
      const worker = startAgent(t, 'queue-worker', args)
      const followed = follow(worker, log, 2 + random.below(80))
      await Promise.race([followed, drained])
      if (await isOver()) worker.tell('stop')
      await followed
      const { code, signal, stderr } = await worker.exited
      assert.ok(signal === 'SIGKILL' || code === 0, stderr)
      if (signal === 'SIGKILL') kills++
    }
  }
  await Promise.all(['a', 'b', 'c', 'd'].map(slot))
  t.diagnostic(`${kills} workers killed, ${log.claimed.length} claims, ` +
    `${log.refused.length} ends refused`)
  assert.ok(kills > 4)
  assert.deepEqual(queue.stats(),
    { pending: 0, delayed: 0, claimed: 0, completed: 1000, dead: 0 })
  const handedOut = log.claimed.map(({ claimed, attempt }) => `${claimed} ${attempt}`)
  assert.equal(new Set(handedOut).size, handedOut.length, 'an attempt was handed out twice')
  const acknowledged = new Map()
  for (const { completed, attempt } of log.completed) {
    assert.ok(!acknowledged.has(completed), `${completed} was completed twice`)
    acknowledged.set(completed, attempt)
  }
  // A worker that was killed before it could say so may have completed a task unheard.
  assert.ok(acknowledged.size >= 1000 - kills)
  for (const id of ids) {
    const { attempt, result } = queue.get(id)
    assert.equal(result, attempt)
    if (acknowledged.has(id)) assert.equal(attempt, acknowledged.get(id))
  }
  for (const { code } of log.refused) assert.equal(code, 'ERR_LEASE_LOST')
})

test('an idle worker is woken by a push of another process, and its process ends', async (t) => {
  const { path, queue } = queueOf(t)
  const worker = startAgent(t, 'queue-worker', { path, work: 'finish', tasks: 2 })
  assert.deepEqual(await worker.next(), { ready: true })
  for (const id of ['first', 'second']) {
    queue.push(1, { id })
    assert.deepEqual(await worker.next(), { claimed: id, attempt: 1 })
    assert.deepEqual(await worker.next(), { completed: id, attempt: 1 })
  }
  assert.deepEqual(await worker.exited, { code: 0, signal: null, stderr: '' })
})

test('an idle worker is woken by the lease of a worker that was killed', async (t) => {
  const { path, queue } = queueOf(t)
  queue.push(1, { id: 'a' })
  const victim = startAgent(t, 'queue-worker', { path, lease: 300, work: 'hang' })
  await victim.next()
  assert.deepEqual(await victim.next(), { claimed: 'a', attempt: 1 })
  const worker = startAgent(t, 'queue-worker', { path, work: 'finish', tasks: 1 })
  assert.deepEqual(await worker.next(), { ready: true })
  const { leaseExpiresAt } = queue.get('a')
  await until(() => queue.get('a').leaseExpiresAt > leaseExpiresAt)
  victim.kill('SIGKILL')
  assert.deepEqual(await worker.next(), { claimed: 'a', attempt: 2 })
  await worker.exited
})

test('a worker that computes for longer than its lease keeps the task', async (t) => {
  const { path, queue } = queueOf(t)
  queue.push(4000, { id: 'a' })
  const options = { path, lease: 1500, work: 'compute' }
  const one = startAgent(t, 'queue-worker', options)
  const other = startAgent(t, 'queue-worker', options)
  await Promise.all([one.next(), other.next()])
  await queue.drained()
  const { attempt, result } = queue.get('a')
  assert.deepEqual([attempt, result], [1, 1])
  for (const worker of [one, other]) worker.tell('stop')
  const said = (await Promise.all([one.all(), other.all()])).flat()
  assert.deepEqual(said, [{ claimed: 'a', attempt: 1 }, { completed: 'a', attempt: 1 }])
})

test('a worker that was stopped past its lease has lost the task', async (t) => {
  const { path, queue } = queueOf(t)
  queue.push('item', { id: 'a' })
  const stale = startAgent(t, 'queue-claim', { path, agent: 'stale', lease: 200 })
  assert.equal((await stale.next()).attempt, 1)
  stale.kill('SIGSTOP')
  const task = await queue.consume().next()
  assert.equal(task.value.attempt, 2)
  stale.kill('SIGCONT')
  for (const step of ['complete', 'renew', 'fail']) {
    stale.tell(step)
    const { code, message } = await stale.next()
    assert.equal(code, 'ERR_LEASE_LOST')
    assert.match(message, /attempt 1 ran out, and "56-queue-processes.test" has claimed it/)
  }
  task.value.complete()
})

test('a worker thread that is terminated does not renew its lease any more', async (t) => {
  const { Worker } = require('node:worker_threads')
  const { once } = require('node:events')
  const { path, queue } = queueOf(t)
  queue.push('item', { id: 'a' })
  const script = `
    const { openStore } = require(${JSON.stringify(require.resolve('..'))})
    const { parentPort } = require('node:worker_threads')
    const queue = openStore(${JSON.stringify(path)}).useQueue('jobs', { lease: 300 })
    queue.consume().next().then(({ value }) => {
      globalThis.task = value
      parentPort.postMessage(value.attempt)
      setInterval(() => {}, 1000)
    })`
  const worker = new Worker(script, { eval: true })
  assert.deepEqual(await once(worker, 'message'), [1])
  const { leaseExpiresAt } = queue.get('a')
  await until(() => queue.get('a').leaseExpiresAt > leaseExpiresAt)
  await worker.terminate()
  const { value: task } = await queue.consume().next()
  assert.equal(task.attempt, 2)
  task.complete()
})

test('a lease granted by a clock that is ahead ends when its length has passed', needsFaketime,
  async (t) => {
    const { path, queue } = queueOf(t)
    queue.push('item', { id: 'a' })
    const ahead = startWithClock(t, '+1h', { path, lease: 200 })
    const { attempt, leaseExpiresAt } = await ahead.next()
    assert.equal(attempt, 1)
    assert.ok(leaseExpiresAt > Date.now() + hour / 2)
    const { value: task } = await queue.consume().next()
    assert.equal(task.attempt, 2)
    ahead.tell('complete')
    assert.equal((await ahead.next()).code, 'ERR_LEASE_LOST')
    task.complete()
  })

test('a delay granted by a clock that is ahead ends when its length has passed', needsFaketime,
  async (t) => {
    const { path, queue } = queueOf(t)
    for (let n = 0; n < 3; n++) queue.push('later', { delay: 24 * hour })
    const args = { path, lease: 200, push: { id: 'a', delay: 200 } }
    const ahead = startWithClock(t, '+48h', args)
    assert.notEqual((await ahead.next()).id, 'a')
    assert.equal(queue.get('a').status, 'delayed')
    const taken = []
    for await (const task of queue.consume()) {
      taken.push(task.id)
      task.complete()
      if (task.id === 'a') break
    }
    assert.ok(taken.includes('a'))
  })

test('a clock that jumps ahead ends a lease early, and the attempts tell who has the task',
  needsFaketime, async (t) => {
    const { path, queue } = queueOf(t)
    queue.push('item', { id: 'a' })
    const task = queue.claim()
    const ahead = startWithClock(t, '+1h', { path, agent: 'ahead' })
    assert.deepEqual((({ id, attempt }) => [id, attempt])(await ahead.next()), ['a', 2])
    assert.throws(() => task.complete(), { code: 'ERR_LEASE_LOST' })
    ahead.tell('complete')
    assert.deepEqual(await ahead.next(), {})
    assert.equal(queue.get('a').attempt, 2)
  })

test('a clock that steps back and forth hands out every attempt once', needsFaketime,
  async (t) => {
    const { path, queue } = queueOf(t, { maxAttempts: 1000 })
    queue.push('item', { id: 'a' })
    const attempts = []
    for (const offset of ['+2h', '-1h', '+1h', '-2h', '+3h']) {
      const agent = startWithClock(t, offset, { path, lease: 50 })
      let { attempt } = await agent.next()
      while (attempt === undefined) {
        agent.tell('claim again')
        attempt = (await agent.next()).value
      }
      attempts.push(attempt)
      agent.end()
      await agent.exited
    }
    assert.deepEqual(attempts, [1, 2, 3, 4, 5])
    const { value: task } = await queue.consume().next()
    assert.equal(task.attempt, 6)
    task.complete()
  })

function queueOf (t, options) {
  const store = temporaryStore(t)
  return { path: store.path, queue: store.useQueue('jobs', options) }
}
