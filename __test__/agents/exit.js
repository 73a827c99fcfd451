'use strict'

// Opens a store, writes, and ends in the way it was told.

const { Worker } = require('node:worker_threads')
const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const endings = {
  end () {},
  promise: async () => { await null },
  exit: () => process.exit(7),
  'exit in update': (store) => store.useNamespace('n').update('k', () => process.exit(7)),
  'exit in loop' (store) {
    const namespace = store.useNamespace('default')
    for (const [key] of namespace) process.exit(key === 'key' ? 7 : 8)
  },
  'exit in backup' (store) {
    store.set('large', new Uint8Array(30_000_000))
    store.backup(args.copy)
    process.exit(7)
  },
  'write at exit': (store) => process.on('exit', () => store.set('key', 2)),
  'close at exit': (store) => process.on('exit', () => store.close()),
  throw () { throw new Error('on purpose') },
  reject: () => { Promise.reject(new Error('on purpose')) },
  'exit with worker' () {
    const workerData = { task: 'write without end', path: args.path }
    const worker = new Worker(require.resolve('./worker.js'), { workerData })
    worker.once('message', () => process.exit(7))
  }
}

if (args.ending !== 'import only') {
  const store = openStore(args.path)
  store.set('key', 1)
  say({ wrote: store.get('key') })
  endings[args.ending](store)
}
