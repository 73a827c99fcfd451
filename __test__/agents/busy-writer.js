'use strict'

// Writes all kinds of things at random, without end, until it is killed. Says so after the first.

const { openStore } = require('../..')
const { args, say } = require('../support/agent')
const { generator } = require('../support/random')

const { next, below, pick } = generator(args.seed)
const store = openStore({ path: args.path, history: { maxBytes: 65536 } })
const queue = store.useQueue('work', { maxAttempts: 2 })
const name = () => `n${below(40)}`
const key = () => `key ${below(300)}`
const value = () => 'v'.repeat(next() < 0.05 ? below(30_000) : below(300))
const options = () => (next() < 0.3 ? { ttl: 1 + below(2000) } : {})

const steps = [
  () => store.useNamespace(name()).set(key(), value(), options()),
  () => store.useNamespace(name()).set(key(), value(), { metadata: { by: 'somebody' } }),
  () => store.useNamespace(name()).setMany(
    Array.from({ length: below(400) }, () => [key(), value()]), options()),
  () => store.useNamespace(name()).delete(key()),
  () => store.useNamespace(name()).clear(next() < 0.5 ? {} : { prefix: `key ${below(30)}` }),
  () => store.useNamespace('counters').increment(key()),
  () => store.transaction((tx) => {
    tx.useNamespace(name()).set(key(), value())
    tx.useNamespace(name()).delete(key())
  }),
  () => queue.pushMany(Array.from({ length: below(20) }, value)),
  () => queue.push(value(), { delay: below(3) * 50 }),
  () => finish(queue.claim()),
  () => finish(queue.claim()),
  () => queue.retryDead(),
  () => (next() < 0.1 ? queue.clear() : 0)
]

function finish (task) {
  if (task === undefined || next() < 0.2) return
  if (next() < 0.5) task.complete(next() < 0.5 ? value() : undefined)
  else task.fail(new Error('it broke'), { retryIn: below(2) * 20 })
}

function step () {
  try {
    pick(steps)()
  } catch (error) {
    if (error.code !== 'ERR_LEASE_LOST') throw error
  }
}

for (let n = 0; n < (args.steps ?? Infinity); n++) {
  step()
  if (n === 200) say({ started: true })
}
say({ done: true })
