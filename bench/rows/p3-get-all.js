'use strict'

// P3: a whole namespace of 20,000 documents as one object.

const { makeEntries } = require('../documents')

const COUNT = 20_000

module.exports = {
  id: 'P3',
  title: 'getAll of 20,000 documents to an object',
  peers: [
    'commonhold', 'lmdb', 'lmdb-shared',
    'better-sqlite3', 'better-sqlite3-one-json', 'classic-level'
  ],
  cases: [{
    name: 'doc',
    kind: 'doc',
    unit: 'document',
    perUnit: COUNT,
    targets: [
      { peers: ['lmdb', 'lmdb-shared'], atLeast: 1.5 },
      { peers: ['better-sqlite3'], atLeast: 1.5 }
    ],
    prepare: store => store.setMany(makeEntries('doc', COUNT)),
    answer: async store => Object.entries(await store.getAll()),

    async run (store, state, operations) {
      for (let i = 0; i < operations; i++) await store.getAll()
    }
  }]
}
