'use strict'

// P4: the keys of a namespace of 130,000 (a source tree), all of them and those under a prefix.

const { makePathKeys } = require('../documents')

const COUNT = 130_000
const ROOTS = 13

const listCase = (name, prefix, keys) => ({
  name,
  kind: 'small',
  unit: 'key',
  perUnit: keys,
  targets: [{ peers: ['lmdb', 'lmdb-shared'], atLeast: 2 }],
  prepare: store => store.setMany(makePathKeys(COUNT, ROOTS).map(key => [key, true])),
  answer: store => store.listKeys(prefix),

  async run (store, state, operations) {
    for (let i = 0; i < operations; i++) await store.listKeys(prefix)
  }
})

module.exports = {
  id: 'P4',
  title: 'listKeys of 130,000 keys',
  peers: ['commonhold', 'lmdb', 'better-sqlite3', 'classic-level'],
  cases: [
    listCase('all', undefined, COUNT),
    listCase('prefix', 'repository-07/', COUNT / ROOTS)
  ]
}
