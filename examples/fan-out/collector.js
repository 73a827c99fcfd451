'use strict'

const { useNamespace } = require('../..')

const work = useNamespace('fanout:primes')
const { completed, total } = work.getMany(['completed', 'total'])
if (completed < total) {
  console.error(`in progress: ${completed} of ${total}`)
  process.exit(1)
}

const tasks = Object.values(work.getAll({ prefix: 'task:' }))
work.set('result', tasks.reduce((sum, { result }) => sum + result, 0))
