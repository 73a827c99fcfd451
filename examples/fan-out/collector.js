'use strict'

// Waits until all tasks are done and adds up their results.

const { dataStore, useNamespace } = require('../..')

const work = useNamespace('fanout:primes')
const queue = dataStore.useQueue('fanout:primes')

async function run () {
  // A queue to which nothing has been pushed yet is drained, too.
  await work.waitFor('total', { timeout: 60000 })
  await queue.drained({ signal: AbortSignal.timeout(60000) })
  work.set('result', Object.values(queue.results()).reduce((sum, primes) => sum + primes, 0))
}

run()
