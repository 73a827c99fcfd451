'use strict'

// P14: small jobs through a queue, from the push of the first to the completion of the last, as the
// worker that completed it was told. Four worker processes wait for the jobs of this one. Every
// round is checked: each job was done once by one worker, and the queue says the same.

const { setTimeout: sleep } = require('node:timers/promises')
const { now } = require('../arrivals')
const { makeEntries } = require('../documents')

const JOBS = 1000
const POLL_MS = 10

/** Waits until the workers have completed so many jobs; which, and when the last was. */
async function awaitCompletions (store, count) {
  const numbers = []
  let lastAt = 0
  while (numbers.length < count) {
    await sleep(POLL_MS)
    for (const one of await Promise.all(store.takeCompletions())) {
      numbers.push(...one.numbers)
      lastAt = Math.max(lastAt, one.lastAt)
    }
  }
  return { numbers, lastAt }
}

/** Throws unless each job was completed exactly once, by the workers' word and by the queue's. */
async function verify (store, numbers) {
  const completed = await store.countCompleted()
  if (numbers.length !== JOBS || new Set(numbers).size !== JOBS || completed !== JOBS) {
    throw new Error(`${JOBS} jobs: ${numbers.length} done, ${new Set(numbers).size} different, ` +
      `${completed} completed`)
  }
}

async function runJobs (store, items, push) {
  const start = now()
  await push(store, items)
  const { numbers, lastAt } = await awaitCompletions(store, JOBS)
  await verify(store, numbers)
  return { nanoseconds: lastAt - start, numbers }
}

const queueCase = (name, push) => ({
  name,
  kind: 'small',
  unit: 'job',
  perUnit: JOBS,
  measures: [{
    of: 'push, claim, complete',
    targets: [{ peers: ['bullmq-synced'], atLeast: 5 }, { peers: ['bullmq'], atLeast: 5 }]
  }],

  prepare: () => ({
    items: makeEntries('small', JOBS).map(([, value], number) => ({ number, ...value }))
  }),

  async answer (store, { items }) {
    const { numbers } = await runJobs(store, items, push)
    return numbers.sort((a, b) => a - b)
  },

  reset: store => store.clear(),

  async run (store, { items }) {
    const { nanoseconds } = await runJobs(store, items, push)
    return { 'push, claim, complete': nanoseconds }
  }
})

/** Each push is acknowledged before the next; the workers are at work meanwhile. */
async function pushEach (store, items) {
  for (const item of items) {
    const pending = store.push(item)
    if (pending instanceof Promise) await pending
  }
}

module.exports = {
  id: 'P14',
  title: `a queue of ${JOBS} jobs, 4 workers`,
  product: 'bullmq',
  peers: ['bullmq-synced', 'bullmq'],
  cases: [
    queueCase('pushed one by one', pushEach),
    queueCase('pushed at once', (store, items) => store.pushMany(items))
  ]
}
