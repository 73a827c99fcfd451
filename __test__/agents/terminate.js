'use strict'

// Terminates worker threads in the middle of reading, and reads itself after each, in more
// namespaces than there are handles: recycling them waits for every snapshot of the process.

const { once } = require('node:events')
const { Worker } = require('node:worker_threads')
const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const script = require.resolve('./worker.js')
const store = openStore(args.path)
const names = Array.from({ length: 300 }, (_, n) => `job:${n}`)
for (const name of names) store.useNamespace(name).set('name', name)
store.useNamespace('n').set('key', 1)

async function run () {
  for (let round = 1; round <= args.rounds; round++) {
    const workerData = { task: 'read without end', path: args.path }
    const worker = new Worker(script, { workerData })
    await once(worker, 'message')
    await worker.terminate()
    const wrong = names.filter((name) => store.useNamespace(name).get('name') !== name)
    say({ round, wrong })
  }
}

run()
