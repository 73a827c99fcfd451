'use strict'

// Splits "count the primes below the limit" into tasks.

const { useNamespace } = require('../..')

const [limit, tasks] = process.argv.slice(2).map(Number)
const size = limit / tasks
const work = useNamespace('fanout:primes')

work.setMany(Array.from({ length: tasks }, (_, i) =>
  [`task:${i}`, { from: i * size, to: (i + 1) * size, status: 'pending' }]))
work.setMany({ total: tasks, completed: 0 })
