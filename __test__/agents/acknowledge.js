'use strict'

// Writes a key and a batch, over and over, and says so each time both calls have returned.

const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const store = openStore(args.path)
const singles = store.useNamespace(`${args.name} singles`)
const batches = store.useNamespace(`${args.name} batches`)

for (let n = 0; ; n++) {
  singles.set(`key ${n}`, { n, text: `${n} `.repeat(50) })
  const keys = Array.from({ length: args.batchSize }, (_, index) => `batch ${n} key ${index}`)
  batches.setMany(keys.map((key) => [key, { key, batch: n }]))
  say({ n })
}
