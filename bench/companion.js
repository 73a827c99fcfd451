'use strict'

// A second process of a peer, which receives what the contestant sends or works on its queue. It
// ends with the contestant, whatever ends that.
//
//   peer.js: module.exports = { roles: { reader: async options => ({ handlers }) } }
//   startCompanion(peerFile, 'reader', options): { ask(handler, argument), end() }

const { fork } = require('node:child_process')

/** Starts the role; resolves when it is ready, rejects with the reason why it is not. */
async function startCompanion (peerFile, role, options) {
  const child = fork(__filename, [peerFile, role, JSON.stringify(options)])
  const ended = new Promise(resolve => {
    child.once('exit', (code, signal) => resolve(signal ?? code))
  })
  const pending = []
  child.on('message', ({ error, result }) => {
    const { resolve, reject } = pending.shift()
    if (error) reject(new Error(error))
    else resolve(result)
  })
  ended.then(reason => {
    for (const { reject } of pending) reject(new Error(`${role}: the process ended (${reason})`))
  })
  // The child answers in the order in which it was asked, its start being the first answer.
  const expectAnswer = () => new Promise((resolve, reject) => pending.push({ resolve, reject }))
  await expectAnswer()
  return {
    ask (handler, argument) {
      child.send({ handler, argument })
      return expectAnswer()
    },
    end () {
      if (child.connected) child.disconnect()
      return ended
    }
  }
}

async function runCompanion ([peerFile, role, options]) {
  const answer = async make => {
    try {
      process.send({ result: await make() })
    } catch (error) {
      process.send({ error: error.stack })
    }
  }
  let handlers
  let last = answer(async () => {
    handlers = await require(peerFile).roles[role](JSON.parse(options))
  })
  process.on('message', ({ handler, argument }) => {
    last = last.then(() => answer(() => handlers[handler](argument)))
  })
  process.on('disconnect', () => process.exit())
}

// The peer that runs here requires this file too, so its exports come first.
module.exports = { startCompanion }

if (require.main === module) runCompanion(process.argv.slice(2))
