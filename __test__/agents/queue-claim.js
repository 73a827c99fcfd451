'use strict'

// Claims one task, says so, and does to it what it is told.

const { openStore } = require('../..')
const { args, hear, outcome, say } = require('../support/agent')

const queue = openStore({ path: args.path, agent: args.agent })
  .useQueue('jobs', { lease: args.lease })

if (args.push !== undefined) queue.push('item', args.push)
const task = queue.claim()
const { leaseExpiresAt } = task === undefined ? {} : queue.get(task.id)
say({ id: task?.id, attempt: task?.attempt, leaseExpiresAt: leaseExpiresAt?.getTime() })

for (let step = hear(); step !== ''; step = hear()) {
  const method = step === 'claim again' ? () => queue.claim()?.attempt : () => task[step]()
  say(outcome(method))
}
