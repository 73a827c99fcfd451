'use strict'

// Reads and writes at random in many namespaces, as a process or as a worker thread, and checks
// that every value is one of its own namespace.

const { isMainThread, parentPort, workerData } = require('node:worker_threads')
const { openStore } = require('../..')
const { generator } = require('../support/random')

const { args, say } = isMainThread
  ? require('../support/agent')
  : { args: workerData, say: (result) => parentPort.postMessage(result) }

const store = openStore(args.path)
const random = generator(args.seed)
const wrong = []
let wrote = 0

for (let round = 0; round < args.rounds; round++) {
  const name = `job:${random.below(args.names)}`
  const namespace = store.useNamespace(name)
  const found = random.next() < 0.5 ? namespace.get('name') : namespace.getAll().name
  if (found?.name !== name) wrong.push([name, found])
  if (random.next() < 0.2) {
    namespace.increment('writes')
    wrote += 1
  }
  if (round === args.sayAfter) say({ round })
}
say({ wrong, wrote })
