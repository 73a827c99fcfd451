'use strict'

// What the processes of 33-async and 34-async-processes do.

const { dataStore, openStore } = require('../..')
const { args, hear, say } = require('../support/agent')

const lines = async () => {
  const readline = require('node:readline')
  const input = readline.createInterface({ input: process.stdin })
  const iterator = input[Symbol.asyncIterator]()
  return { next: () => iterator.next(), close: () => input.close() }
}

const tasks = {
  async 'default store' () {
    await dataStore.async.set('k', 1)
    say({ value: await dataStore.async.get('k') })
  },

  /** Holds a lock, by default that of the store's one writer, until it is told to go on. */
  hold () {
    const { spawnSync } = require('node:child_process')
    const wait = 'echo held; read line'
    spawnSync('flock', [`${args.path}/${args.lock ?? 'writer.lock'}`, 'sh', '-c', wait], { stdio: 'inherit' })
  },

  /** Adds to several keys in transactions, many at once. */
  async transactions (store) {
    await Promise.all(Array.from({ length: args.times }, (_, n) =>
      store.async.transaction(async (tx) => {
        const namespace = tx.useNamespace('n')
        const key = `k${n % args.keys}`
        const [sum, total] = [await namespace.get(key, 0), await namespace.get('total', 0)]
        if (n % 3 === 0) await new Promise(setImmediate)
        await namespace.set(key, sum + 1)
        await namespace.set('total', total + 1)
      })))
  },

  async updates (store) {
    const namespace = store.async.useNamespace('n')
    await Promise.all(Array.from({ length: args.times }, async () => {
      await Promise.all([
        namespace.update('updated', async (n = 0) => n + 1), namespace.increment('incremented')
      ])
    }))
  },

  /** Writes pairs that belong together, without end, and says which were acknowledged. */
  async pairs (store) {
    const namespace = store.async.useNamespace('pairs')
    const write = async (n) => {
      await namespace.setMany({ [`a${n}`]: n, [`b${n}`]: n })
      say({ n })
      return write(n + 8)
    }
    await Promise.all(Array.from({ length: 8 }, (_, n) => write(n)))
  },

  /** Counts how often a timer fires while a write waits. */
  async ticks (store) {
    const ticks = []
    const settled = []
    const timer = setInterval(() => ticks.push(1), 1)
    const input = await lines()
    const later = store.async.useNamespace('n')
    const writes = [
      later.set('k', 1), later.update('u', () => 1), later.increment('i'),
      store.async.transaction(async (tx) => tx.useNamespace('n').set('t', 1)),
      store.async.useQueue('q').push(1), store.async.flush()
    ]
    for (const write of writes) write.finally(() => settled.push(1))
    const fs = require('node:fs')
    while (ticks.length < 20) {
      // Reads, files and timers go on.
      await later.get('k')
      await store.async.useNamespace(`known ${ticks.length}`).get('k')
      await fs.promises.stat(args.path)
      await new Promise(setImmediate)
    }
    say({ ticks: ticks.length, settled: settled.length })
    await input.next()
    await Promise.all(writes)
    say({ settled: settled.length, value: await later.get('k') })
    clearInterval(timer)
    input.close()
  },

  /** Lets calls fail, and says which rejections nobody handled. */
  async rejections (store) {
    const seen = []
    process.on('unhandledRejection', (error) => seen.push(error.code))
    store.async.set('', 1)
    store.async.set(5, 1)
    store.async.useQueue('q', { lease: 0 }).push(1)
    store.async.useNamespace('n').update('k', () => 1, { ifVersion: 7 })
    store.async.useNamespace('n').watch({ kee: 1 })
    store.async.set('', 1).catch(() => {})
    await store.async.flush()
    await new Promise(setImmediate)
    for (const code of seen.sort()) say(code)
  },

  /** Ends by itself, or does not, with what `args.leave` leaves behind. */
  async leave (store) {
    const namespace = store.async.useNamespace('n')
    const leave = {
      nothing: async () => { await namespace.set('k', 1) },
      pending: () => { namespace.set('k', 2).then(() => say({ acknowledged: true })) },
      many () {
        for (let n = 0; n < 500; n++) namespace.set(`k${n}`, n)
      },
      watcher: async () => { namespace.watch() },
      'exit at once' () {
        for (let n = 0; n < 500; n++) namespace.setMany({ [`a${n}`]: n, [`b${n}`]: n })
        process.exit(7)
      },
      'exit after some' () {
        for (let n = 0; n < 5000; n++) {
          namespace.setMany({ [`a${n}`]: n, [`b${n}`]: n }).then(() => n === 100 && process.exit(7))
        }
      },
      'exit in a transaction': () => store.async.transaction(async (tx) => {
        await tx.useNamespace('n').set('k', 3)
        process.exit(7)
      }),
      'close at exit' () {
        process.on('exit', () => store.close())
        for (let n = 0; n < 500; n++) namespace.setMany({ [`a${n}`]: n, [`b${n}`]: n })
        process.exit(7)
      },
      'exit while closing' () {
        for (let n = 0; n < 500; n++) namespace.setMany({ [`a${n}`]: n, [`b${n}`]: n })
        store.async.close()
        process.exit(7)
      },
      async 'worker terminated' () {
        const { Worker } = require('node:worker_threads')
        const { once } = require('node:events')
        const workerData = { task: 'write with promises without end', path: args.path }
        for (let round = 0; round < 5; round++) {
          const worker = new Worker(require.resolve('./worker.js'), { workerData })
          await once(worker, 'message')
          await worker.terminate()
        }
        await namespace.set('k', 4)
      }
    }
    await leave[args.leave]()
  },

  /** Claims tasks until it is told that there are no more. */
  async work (store) {
    const queue = store.async.useQueue('q', { lease: 2000 })
    say({ ready: true })
    const controller = new AbortController()
    queue.drained().then(() => controller.abort())
    for await (const task of queue.consume({ signal: controller.signal })) {
      await task.complete({ by: process.pid, n: task.item })
    }
  }
}

const store = args.path === undefined ? undefined : openStore({ path: args.path })
if (args.waits) hear()
Promise.resolve(tasks[args.task](store))
