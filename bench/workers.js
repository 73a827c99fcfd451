'use strict'

const { startCompanion } = require('./companion')

const WORKERS = 4

/** The worker processes of a peer's queue; each plays the role `worker` of the peer's file. */
async function startWorkers (peerFile, options) {
  const start = () => startCompanion(peerFile, 'worker', options)
  const workers = await Promise.all(Array.from({ length: WORKERS }, start))
  return {
    takeCompletions: () => workers.map(worker => worker.ask('take')),
    end: () => Promise.all(workers.map(worker => worker.end()))
  }
}

module.exports = { startWorkers }
