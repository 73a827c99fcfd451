'use strict'

const { startCrew } = require('./crew')

const WORKERS = 4

/** The worker processes of a peer's queue; each plays the role `worker` of the peer's file. */
async function startWorkers (peerFile, options) {
  const crew = await startCrew(peerFile, 'worker', WORKERS, options)
  return { takeCompletions: () => crew.ask('take'), end: crew.end }
}

module.exports = { startWorkers }
