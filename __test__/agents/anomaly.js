'use strict'

// One of several processes that try to bring about an anomaly, round after round, and says at the
// end how often it saw one, and what it did.

const { args, say } = require('../support/agent')
const { generator } = require('../support/random')
const { openStore } = require(args.package ?? '../..')

const store = openStore({ path: args.path })
const random = generator(args.seed)
const cell = new Int32Array(new SharedArrayBuffer(4))
let seen = 0
let runs = 0

/** Gives the others time to be faster, inside a transaction's function. */
function dawdle () {
  const ms = random.below(4)
  if (ms > 0) Atomics.wait(cell, 0, 0, ms)
}

/** A transaction over namespace "n"; counts how often its function runs. */
const transaction = (fn) => store.transaction((tx) => {
  runs += 1
  return fn(tx.useNamespace('n'), tx)
})

const ROUNDS = {
  // Both read a number, both write it plus one.
  lostUpdate () {
    transaction((n) => {
      const number = n.get('counter', 0)
      dawdle()
      n.set('counter', number + 1)
    })
  },

  // The same with ifVersion, by hand.
  lostVersion () {
    const n = store.useNamespace('n')
    for (;;) {
      const entry = n.getEntry('counter')
      dawdle()
      try {
        n.set('counter', (entry?.value ?? 0) + 1, { ifVersion: entry?.version ?? 0 })
        return
      } catch (error) {
        if (error.code !== 'ERR_CONFLICT') throw error
      }
      runs += 1
    }
  },

  // One of two must stay on call; each leaves only if the other one is there.
  writeSkew () {
    const [mine, other] = args.index % 2 === 0 ? ['a', 'b'] : ['b', 'a']
    const left = transaction((n) => {
      const isOtherThere = n.get(other, true)
      dawdle()
      if (isOtherThere) n.set(mine, false)
      return isOtherThere
    })
    if (!left) return
    const isAnyThere = transaction((n) => n.get('a', true) || n.get('b', true))
    if (!isAnyThere) seen += 1
    store.useNamespace('n').set(mine, true)
  },

  // A room is booked only if it has no booking; each booking is a key of its own.
  phantom () {
    const looks = [(n) => n.count(), (n) => n.listKeys().length, (n) =>
      Object.keys(n.getAll({ prefix: 'booking:' })).length]
    const look = random.pick(looks)
    const key = `booking:${process.pid}`
    const isBooked = transaction((n) => {
      const isFree = look(n) === 0
      dawdle()
      if (isFree) n.set(key, true)
      return isFree
    })
    if (!isBooked) return
    if (transaction((n) => n.count()) > 1) seen += 1
    store.useNamespace('n').delete(key)
  },

  // Two keys are always written together, so whoever reads both inside a function sees them equal.
  tornRead () {
    if (args.index === 0) {
      transaction((n) => { n.setMany({ a: runs, b: runs }) })
      return
    }
    transaction((n) => {
      const a = n.get('a')
      dawdle()
      // Takes a newer snapshot for the store, so that the transaction's is gone.
      store.has('anything')
      if (n.get('b') !== a) seen += 1
    })
  }
}

for (let round = 0; round < args.rounds; round++) ROUNDS[args.anomaly](round)
say({ seen, runs })
store.close()
