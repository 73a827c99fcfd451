'use strict'

// Claims every task that nobody has claimed.

const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const namespace = openStore(args.path).useNamespace('claims')
const claimed = []

for (let n = 0; n < args.tasks; n++) {
  try {
    namespace.set(`task ${n}`, args.name, { ifVersion: 0 })
    claimed.push(`task ${n}`)
  } catch (error) {
    if (error.code !== 'ERR_CONFLICT') throw error
  }
}
say({ name: args.name, claimed })
