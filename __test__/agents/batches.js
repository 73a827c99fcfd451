'use strict'

// Writes batches without end, each with one number under all its keys; says each once it returned.

const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const store = openStore({ path: args.path, ...(args.agent && { agent: args.agent }) })
const namespace = store.useNamespace('batch')
const keys = Array.from({ length: args.size }, (_, n) => `key ${n}`)

for (let batch = 1; ; batch++) {
  namespace.setMany(keys.map((key) => [key, batch]))
  say({ batch })
}
