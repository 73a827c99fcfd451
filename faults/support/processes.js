'use strict'

// Starts the scripts of faults/agents as __test__/support/agents.js starts those of the tests.

const { startAgent } = require('../../__test__/support/agents')

const start = (t, name, args, options) =>
  startAgent(t, `../../faults/agents/${name}`, args, options)

/** A process that answers requests one by one. One that crashes says so and is replaced. */
function startServer (t, name, options) {
  let agent
  const ask = async (request) => {
    agent ??= start(t, name, {}, options)
    agent.tell(JSON.stringify(request))
    const answer = await agent.next()
    if (answer !== undefined) return answer
    const { code, signal, stderr } = await agent.exited
    agent = undefined
    return { crash: signal ?? code, stderr }
  }
  const stop = async () => {
    agent?.child.stdin.end()
    await agent?.exited
  }
  return { ask, stop }
}

module.exports = { start, startServer }
