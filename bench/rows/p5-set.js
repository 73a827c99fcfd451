'use strict'

// P5: one document, on the disk when the call returns. Every peer here waits for the device. Each
// set brings a value other than the stored one: SQLite writes nothing where nothing changes.

const { makeEntries, shuffle } = require('../documents')

const COUNT = 20_000

module.exports = {
  id: 'P5',
  title: 'strict set',
  peers: ['commonhold', 'device', 'lmdb', 'lmdb-shared', 'better-sqlite3', 'classic-level'],
  cases: [{
    name: 'doc',
    kind: 'doc',
    unit: 'set',
    targets: [
      { peers: ['device'], atMost: 1.4 },
      { peers: ['lmdb', 'lmdb-shared'], atLeast: 1.2 }
    ],

    async prepare (store) {
      const entries = makeEntries('doc', COUNT)
      await store.setMany(entries)
      const keys = shuffle(entries.map(([key]) => key))
      return { keys, values: entries.map(([, value]) => value), at: 0 }
    },

    async answer (store, { keys, values }) {
      await store.set(keys[0], { replaced: true })
      const replaced = await store.get(keys[0])
      await store.set(keys[0], values[0])
      return [replaced, await store.get(keys[0])]
    },

    async run (store, state, operations) {
      const { keys, values } = state
      for (let i = 0; i < operations; i++) {
        const at = state.at++
        const pass = Math.floor(at / COUNT)
        const pending = store.set(keys[at % COUNT], values[(at + pass) % COUNT])
        if (pending instanceof Promise) await pending
      }
    }
  }]
}
