'use strict'

// The product's queue: `push`, and `consume` in the workers. Defaults throughout: 'strict'.

const { openStore } = require('../..')
const { version } = require('../../package.json')
const { Completions } = require('../completions')
const { startWorkers } = require('../workers')

const QUEUE = 'bench'

async function open (directory) {
  const store = openStore({ path: directory, agent: 'producer' })
  const queue = store.useQueue(QUEUE)
  const workers = await startWorkers(__filename, { directory })
  return {
    push: item => queue.push(item),
    pushMany: items => queue.pushMany(items),
    takeCompletions: workers.takeCompletions,
    countCompleted: () => queue.stats().completed,
    clear: () => queue.clear(),
    async close () {
      await workers.end()
      store.close()
    }
  }
}

async function worker ({ directory }) {
  const queue = openStore({ path: directory, agent: 'worker' }).useQueue(QUEUE)
  const completions = new Completions()
  consume(queue, completions)
  return { take: () => completions.take() }
}

async function consume (queue, completions) {
  for await (const task of queue.consume()) {
    task.complete({ number: task.item.number })
    completions.add(task.item.number)
  }
}

module.exports = { name: 'commonhold queue', version: () => version, open, roles: { worker } }
