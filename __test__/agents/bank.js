'use strict'

// A process of the bank: transfers money between accounts, or audits all of them, until it has
// done what it was asked for (`transfers`) or is told to stop.

const fs = require('node:fs')
const { args, say } = require('../support/agent')
const { generator } = require('../support/random')
const { openStore } = require('../..')

const store = openStore({ path: args.path })
const random = generator(args.seed)
const cell = new Int32Array(new SharedArrayBuffer(4))
let runs = 0

/** [namespace, key] of each account. */
const accounts = Array.from({ length: args.accounts }, (_, index) =>
  [args.namespaces[index % args.namespaces.length], `account ${index}`])

function transfer () {
  const [from, to] = [random.pick(accounts), random.pick(accounts)]
  const amount = 1 + random.below(20)
  store.transaction((tx) => {
    runs += 1
    const balance = tx.useNamespace(from[0]).get(from[1])
    if (args.slowness > 0) Atomics.wait(cell, 0, 0, args.slowness)
    if (balance < amount) return
    tx.useNamespace(from[0]).set(from[1], balance - amount)
    tx.useNamespace(to[0]).increment(to[1], amount)
  })
}

/** The sum of all accounts, each time read in another way. */
function audit (round) {
  return store.transaction((tx) => {
    runs += 1
    const balances = args.namespaces.flatMap((name) => {
      const n = tx.useNamespace(name)
      // Takes a newer snapshot for the store, so that the transaction's is gone.
      if (round % 3 === 0) store.has('anything')
      if (round % 2 === 0) return Object.values(n.getAll())
      return accounts.filter(([namespace]) => namespace === name).map(([, key]) => n.get(key))
    })
    return balances.reduce((sum, balance) => sum + balance)
  })
}

const isTold = () => fs.existsSync(args.stopFile)

say('ready')
if (args.role === 'audit') {
  const sums = {}
  for (let round = 0; round === 0 || !isTold(); round++) {
    const sum = audit(round)
    sums[sum] = (sums[sum] ?? 0) + 1
  }
  say({ sums, runs })
} else {
  let transfers = 0
  while (transfers < (args.transfers ?? Infinity) && !isTold()) {
    transfer()
    transfers += 1
  }
  say({ transfers, runs })
}
store.close()
