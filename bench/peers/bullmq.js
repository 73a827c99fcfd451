'use strict'

// BullMQ as docs.bullmq.io advises: worker processes with a concurrency factor each ("Concurrency";
// its example has 50; of 1, 10, 50, 100 and 300 in one run 10 was the fastest for these jobs),
// `maxRetriesPerRequest: null` for workers and `noeviction` for the server ("Going to production"),
// `addBulk` for many jobs. Completed jobs are kept with their results: its default, and what the
// product does. The server stores nothing; `bullmq-synced.js` has it sync.

const { Queue, Worker } = require('bullmq')
const { version } = require('bullmq/package.json')
const { Completions } = require('../completions')
const { startRedis } = require('../redis')
const { startWorkers } = require('../workers')

const QUEUE = 'bench'
const JOB = 'job'
const CONCURRENCY = 10
const ALL = 0

/** The peer on a server that syncs its log before it answers (`durable`), or stores nothing. */
function makePeer (name, { durable }) {
  let label

  async function open (directory) {
    const server = await startRedis(directory, { durable })
    label = server.label
    const { host, port } = server
    const queue = new Queue(QUEUE, { connection: { host, port } })
    const workers = await startWorkers(__filename, { host, port })
    return {
      push: item => queue.add(JOB, item),
      pushMany: items => queue.addBulk(items.map(data => ({ name: JOB, data }))),
      takeCompletions: workers.takeCompletions,
      countCompleted: () => queue.getCompletedCount(),
      clear: () => queue.clean(0, ALL, 'completed'),
      async close () {
        await workers.end()
        await queue.close()
        await server.stop()
      }
    }
  }

  return { name, version: () => `${version} (${label})`, open, roles: { worker } }
}

async function worker ({ host, port }) {
  const connection = { host, port, maxRetriesPerRequest: null }
  const completions = new Completions()
  const processJob = async job => ({ number: job.data.number })
  const worker = new Worker(QUEUE, processJob, { connection, concurrency: CONCURRENCY })
  worker.on('completed', job => completions.add(job.data.number))
  await worker.waitUntilReady()
  return { take: () => completions.take() }
}

module.exports = { ...makePeer('BullMQ', { durable: false }), makePeer }
