'use strict'

// One of the three parties of the read-only anomaly (Fekete, O'Neil, O'Neil: "A Read-Only
// Transaction Anomaly Under Snapshot Isolation"): a deposit to savings, a withdrawal from checking
// that costs a fee of 1 if both together do not cover it, and a reader. Each round has a namespace
// of its own; all three begin it together.

const { args, say, hear } = require('../support/agent')
const { generator } = require('../support/random')
const { openStore } = require(args.package ?? '../..')

const store = openStore({ path: args.path })
const random = generator(args.seed)
const cell = new Int32Array(new SharedArrayBuffer(4))
const dawdle = () => Atomics.wait(cell, 0, 0, 1 + random.below(3))

const PARTIES = {
  deposit (n) {
    n.set('savings', n.get('savings', 0) + 20)
  },
  withdrawal (n) {
    const [checking, savings] = [n.get('checking', 0), n.get('savings', 0)]
    dawdle()
    dawdle()
    n.set('checking', checking + savings >= 10 ? checking - 10 : checking - 11)
  },
  reader (n) {
    return [n.get('checking', 0), n.get('savings', 0)]
  }
}

say('ready')
for (let round = hear(); round !== 'end'; round = hear()) {
  if (args.party !== 'withdrawal') dawdle()
  const result = store.transaction((tx) => PARTIES[args.party](tx.useNamespace(round)))
  say({ result: result ?? null })
}
store.close()
