'use strict'

// BullMQ as docs.bullmq.io advises: worker processes with a concurrency factor each ("Concurrency";
// 100 is what its own benchmarks take, github.com/taskforcesh/bullmq-bench, and was no slower here
// than 1, 10, 50 and 300), `maxRetriesPerRequest: null` for workers and `noeviction` for the server
// ("Going to production"), `addBulk` for many. Completed jobs are kept with their results, which is
// its default and what the product does.

const { Queue, Worker } = require('bullmq')
const { version } = require('bullmq/package.json')
const { Completions } = require('../completions')
const { startRedis } = require('../redis')
const { startWorkers } = require('../workers')

const QUEUE = 'bench'
const JOB = 'job'
const CONCURRENCY = Number(process.env.BENCH_CONCURRENCY ?? 100)
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
