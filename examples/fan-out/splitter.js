'use strict'

// Splits "count the primes below the limit" into tasks.

const { dataStore, useNamespace } = require('../..')

const [limit, tasks] = process.argv.slice(2).map(Number)
const size = limit / tasks

dataStore.useQueue('fanout:primes').pushMany(Array.from({ length: tasks }, (_, i) =>
  ({ from: i * size, to: (i + 1) * size })))
useNamespace('fanout:primes').set('total', tasks)
