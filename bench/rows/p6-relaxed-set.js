'use strict'

// P6: one document, visible to every process when the call returns, on the disk soon after, and no
// power cut corrupts the store. lmdb-js is there for information: by default its set is durable, as
// a strict one is, and with `noSync` a power cut may corrupt it.

const { keepPace } = require('../load')
const { makeEntries, shuffle } = require('../documents')
const { quantile } = require('../statistics')
const { growthCase } = require('./growth')

const COUNT = 10_000
const STEADY_MS = 500
// Several intervals of 100 ms, and more.
const FLAT_OUT_MS = 800

const SQLITE = ['better-sqlite3-normal']
const P50 = { peers: SQLITE, atLeast: 1.5 }
const MEAN = { peers: SQLITE, atMost: 1.3 }

const setCase = (name, perSecond, ms, measures) => ({
  name,
  kind: 'doc',
  unit: 'set',
  rounds: 7,
  measures,

  async prepare (store) {
    const entries = makeEntries('doc', COUNT)
    await store.setMany(entries)
    const keys = shuffle(entries.map(([key]) => key))
    return { keys, values: entries.map(([, value]) => value), at: 0 }
  },

  async answer (store, { keys, values }) {
    store.set(keys[0], { replaced: true })
    const replaced = store.get(keys[0])
    store.set(keys[0], values[0])
    return [replaced, store.get(keys[0])]
  },

  reset () {},

  run (store, state) {
    const { keys, values } = state
    const { times, startedAt, endedAt } = keepPace(perSecond, ms, () => {
      const at = state.at++
      const pass = Math.floor(at / COUNT)
      store.set(keys[at % COUNT], values[(at + pass) % COUNT])
    })
    // What is left to be flushed is not to fall into another peer's turn.
    store.settle?.()
    return {
      mean: (endedAt - startedAt) / times.length,
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99)
    }
  }
})

const steadyCase = perSecond => setCase(`${perSecond} a second`, perSecond, STEADY_MS,
  [{ of: 'p50', targets: [P50] }, { of: 'p99' }])

module.exports = {
  id: 'P6',
  title: 'relaxed set',
  product: 'commonhold-relaxed',
  peers: ['commonhold-relaxed', ...SQLITE, 'lmdb-no-sync', 'lmdb'],
  cases: [
    steadyCase(1000),
    steadyCase(5000),
    setCase('flat out', Infinity, FLAT_OUT_MS,
      [{ of: 'mean', targets: [MEAN] }, { of: 'p50' }, { of: 'p99' }]),
    growthCase({ processes: 1, peers: SQLITE }),
    growthCase({ processes: 2, peers: SQLITE })
  ],
  roles: require('./growth').roles
}
