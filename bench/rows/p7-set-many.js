'use strict'

// P7: 20,000 documents in one durable commit, into an empty namespace and over existing ones, whose
// values all change: SQLite writes nothing where nothing changes.

const { makeEntries } = require('../documents')

const COUNT = 20_000

const bulkCase = (name, reset) => ({
  name,
  kind: 'doc',
  unit: 'document',
  perUnit: COUNT,
  targets: [
    { peers: ['lmdb', 'lmdb-shared'], atLeast: 1.3 },
    { peers: ['better-sqlite3'], atLeast: 1.5 }
  ],
  reset,

  async prepare (store) {
    const entries = makeEntries('doc', COUNT)
    await store.setMany(entries)
    const changed = entries.map(([key], i) => [key, entries[(i + 1) % COUNT][1]])
    return { entries, other: changed }
  },

  answer: async (store, { entries }) => {
    const answers = []
    for (const [key] of entries) answers.push(await store.get(key))
    return answers
  },

  run (store, state) {
    const { entries, other } = state
    Object.assign(state, { entries: other, other: entries })
    return store.setMany(other)
  }
})

module.exports = {
  id: 'P7',
  title: 'setMany of 20,000 documents',
  peers: ['commonhold', 'lmdb', 'lmdb-shared', 'better-sqlite3', 'classic-level'],
  cases: [
    bulkCase('into an empty namespace', store => store.clear()),
    bulkCase('over existing documents', () => {})
  ]
}
