'use strict'

// What the worker threads of 47-watch.test.js and 48-wait-for.test.js do.

const { parentPort, workerData } = require('node:worker_threads')
const { openStore } = require('../..')

const store = openStore(workerData.path)
const namespace = store.useNamespace('n')

const tasks = {
  async wait () {
    const waits = Array.from({ length: workerData.keys }, (_, n) => namespace.waitFor(`key ${n}`))
    parentPort.postMessage({ waiting: true })
    const values = await Promise.all(waits)
    return { sum: values.reduce((sum, value) => sum + value, 0) }
  },
  async 'wait without end' () {
    const predicate = () => false
    for (let n = 0; n < 100; n++) namespace.waitFor(`key ${n % 20}`, { predicate })
    parentPort.postMessage({ waiting: true })
  },
  async 'watch without end' () {
    parentPort.postMessage({ watching: true })
    for await (const change of namespace.watch()) namespace.has(change.key ?? 'key')
  }
}

tasks[workerData.task]().then((result) => {
  if (result !== undefined) parentPort.postMessage(result)
})
