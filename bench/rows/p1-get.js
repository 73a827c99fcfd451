'use strict'

// P1: one document by its key, hot, in an order that no cache can guess.

const { makeEntries, shuffle } = require('../documents')

const TARGETS = [
  { peers: ['lmdb', 'lmdb-shared'], atLeast: 1.3 },
  { peers: ['better-sqlite3'], atLeast: 2 }
]

/** A case that reads documents of one kind; P2 measures the same against the limit. */
const readCase = (kind, targets) => ({
  name: kind,
  kind,
  unit: 'get',
  targets,

  async prepare (store) {
    const entries = makeEntries(kind)
    await store.setMany(entries)
    return { keys: shuffle(entries.map(([key]) => key)), at: 0 }
  },

  answer: (store, { keys }) => keys.map(key => store.get(key)),

  run (store, state, operations) {
    const { keys } = state
    let { at } = state
    for (let i = 0; i < operations; i++) {
      store.get(keys[at])
      at = at + 1 === keys.length ? 0 : at + 1
    }
    state.at = at
  }
})

module.exports = {
  id: 'P1',
  title: 'get, hot',
  peers: ['commonhold', 'lmdb', 'lmdb-shared', 'better-sqlite3', 'classic-level'],
  cases: ['small', 'doc', 'file', 'vector', 'float32'].map(kind => readCase(kind, TARGETS)),
  readCase
}
