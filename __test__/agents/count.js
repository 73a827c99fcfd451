'use strict'

// Counts in the shared store, with increment or with update.

const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const namespace = openStore(args.path).useNamespace('default')
const returned = []

for (let n = 0; n < args.times; n++) {
  if (args.how === 'increment') {
    returned.push(namespace.increment('counter'))
  } else {
    namespace.update('counter', (value = { total: 0 }) => ({
      ...value,
      total: value.total + 1,
      [args.name]: (value[args.name] ?? 0) + 1
    }))
  }
}
say({ returned })
