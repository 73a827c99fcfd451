'use strict'

// Consumes a queue and says what it got and what it finished, each line written before the next
// step. `args.work` names what the body of the loop does. Told anything, it stops.

const { openStore } = require('../..')
const { args, outcome, say } = require('../support/agent')

const queue = openStore({ path: args.path, agent: args.agent })
  .useQueue('jobs', { lease: args.lease, maxAttempts: 1000 })

const bodies = {
  /** Ends a task at once, or after a moment. */
  async finish (task) {
    if (task.attempt % 2 === 1) await new Promise((resolve) => setTimeout(resolve, task.item % 5))
    return outcome(() => task.complete(task.attempt))
  },
  /** Computes for so long without ever giving the thread away. */
  compute (task) {
    const end = Date.now() + task.item
    while (Date.now() < end);
    return outcome(() => task.complete(task.attempt))
  },
  /** Never ends a task. */
  hang () {
    return new Promise(() => setInterval(() => {}, 1000))
  }
}

async function work () {
  const stop = new AbortController()
  process.stdin.once('data', () => stop.abort()).unref()
  say({ ready: true })
  for await (const task of queue.consume({ signal: stop.signal })) {
    const { id, attempt } = task
    say({ claimed: id, attempt })
    const { code } = await bodies[args.work](task)
    say(code === undefined ? { completed: id, attempt } : { refused: id, attempt, code })
    if (--args.tasks === 0) break
  }
  process.stdin.destroy()
}

work()
