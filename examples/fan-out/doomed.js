'use strict'

// Claims a task and does not finish it: the runner kills this worker while it holds the task.

const { dataStore } = require('../..')

const { id } = dataStore.useQueue('fanout:primes', { lease: 500 }).claim()
process.on('message', () => {})
process.send({ kind: 'holds', id })
