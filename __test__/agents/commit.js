'use strict'

// Commits small batches of keys that nobody wrote before, and says each with its version once the
// store has acknowledged it.

const { openStore } = require('../..')
const { args, say } = require('../support/agent')
const { generator } = require('../support/random')

const namespace = openStore(args.path).useNamespace('n')
const random = generator(args.seed)

for (let n = 0; n < (args.commits ?? Infinity); n++) {
  const size = 1 + random.below(5)
  const keys = Array.from({ length: size }, (_, index) => `${args.name} ${n} ${index}`)
  namespace.setMany(keys.map((key) => [key, n]), { ttl: args.ttl })
  say({ version: namespace.getEntry(keys[0]).version, keys })
}
