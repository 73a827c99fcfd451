'use strict'

// One of three workers that all want the same task. Between reading and writing it waits for the
// runner, so that every worker has read before any of them writes. That is what an unlucky moment
// does; here it happens every time.

const { once } = require('node:events')
const { dataStore, useNamespace } = require('../..')

const worker = dataStore.agent
const work = useNamespace('fanout:race')

/** The original's code: get, look, change, set. */
const getAndSet = {
  async claim () {
    const task = work.get('task:0')
    await everybodyHasRead()
    if (task.status !== 'pending') return false
    work.set('task:0', { ...task, status: 'processing', worker })
    return true
  },
  async count () {
    const completed = work.get('completed')
    await everybodyHasRead()
    work.set('completed', completed + 1)
  }
}

/** The cure: the store reads, changes and writes in one step. */
const atomic = {
  async claim () {
    work.get('task:0')
    await everybodyHasRead()
    const task = work.update('task:0', task =>
      task.status === 'pending' ? { ...task, status: 'processing', worker } : task)
    return task.worker === worker
  },
  async count () {
    work.get('completed')
    await everybodyHasRead()
    work.increment('completed')
  }
}

async function everybodyHasRead () {
  process.send({ kind: 'has read' })
  await once(process, 'message')
}

async function run ({ claim, count }) {
  const claimed = await claim()
  await count()
  process.send({ kind: 'finished', claimed }, () => process.disconnect())
}

run(process.argv[2] === 'atomic' ? atomic : getAndSet)
