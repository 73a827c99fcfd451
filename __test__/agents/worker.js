'use strict'

// What the worker threads of 70-worker-threads.test.js do.

const { once } = require('node:events')
const { parentPort, workerData } = require('node:worker_threads')
const { openStore } = require('../..')

const store = openStore(workerData.path)
const namespace = store.useNamespace('n')

const tasks = {
  exchange () {
    const seen = namespace.get('from main')
    namespace.set('from worker', 2)
    return { seen: seen ?? null }
  },
  close () {
    namespace.set('from close', 1)
    store.close()
  },
  exit () {
    namespace.set('from exit', 1)
    process.exit(0)
  },
  end () {
    namespace.set('from end', 1)
  },
  async wait () {
    parentPort.postMessage({ ready: true })
    await once(parentPort, 'message')
    return { key: store.get('key') }
  },
  count () {
    for (let n = 0; n < workerData.times; n++) {
      namespace.increment('counter')
      namespace.update('updated', (value = 0) => value + 1)
    }
    return {}
  },
  async 'increment with promises' () {
    const later = store.async.useNamespace('n')
    await Promise.all(Array.from({ length: 200 }, () => later.increment('sum')))
  },
  'write with promises without end' () {
    const later = store.async.useNamespace('n')
    const write = (n) => later.set(`k${n % 10}`, n).then(() => {
      if (n === 50) parentPort.postMessage({ started: true })
      return write(n + 1)
    })
    return Promise.all([write(0), write(0), write(0)])
  },
  'read without end' () {
    for (let n = 0; ; n++) {
      namespace.getAll()
      namespace.getMany(['key', 'other'])
      if (n === 20) parentPort.postMessage({ started: true })
    }
  },
  'write without end' () {
    for (let n = 1; ; n++) {
      namespace.set('acknowledged', n)
      if (n === 1) parentPort.postMessage({ started: true })
    }
  }
}

Promise.resolve(tasks[workerData.task]()).then((result) => {
  if (result !== undefined) parentPort.postMessage({ result })
})
