'use strict'

// P8: sets that are awaited until they are on the disk, 1,000 under way at any time in each
// process. better-sqlite3 is synchronous, so each of its writes is a transaction of its own: what
// it would gain by transactions of many (docs/api.md) is what a caller who awaits single writes
// cannot give. In the end a fresh process must find what each process wrote last under each key.

const { isDeepStrictEqual } = require('node:util')
const { startCompanion } = require('../companion')
const { startCrew, workTogether } = require('../crew')
const { makeEntries } = require('../documents')
const { keepInFlight } = require('../load')

const IN_FLIGHT = 1000
const ROUND_MS = 500
// No common factor, so that a key gets another document each time.
const KEYS = 5000
const DOCUMENTS = 4999

const keyOf = (member, number) => `${member}:${number % KEYS}`

/** A process that writes; `number` counts on over the rounds. */
async function writer ({ peerFile, directory, member }) {
  const store = await require(peerFile).open(directory, 'doc')
  const values = makeEntries('doc', DOCUMENTS).map(([, value]) => value)
  let number = 0
  const setNext = () => {
    const at = number++
    return store.set(keyOf(member, at), values[at % DOCUMENTS])
  }
  return {
    write: () => keepInFlight(IN_FLIGHT, ROUND_MS, setNext),
    close: () => store.close()
  }
}

/** A fresh process that looks whether everything is there. */
async function reader ({ peerFile, directory }) {
  const store = await require(peerFile).open(directory, 'doc')
  const values = makeEntries('doc', DOCUMENTS).map(([, value]) => value)
  return {
    async verify (written) {
      for (const [member, count] of written.entries()) {
        for (let number = Math.max(0, count - KEYS); number < count; number++) {
          const key = keyOf(member, number)
          if (!isDeepStrictEqual(await store.get(key), values[number % DOCUMENTS])) {
            throw new Error(`lost: write ${number} of ${count}, under the key ${key}`)
          }
        }
      }
      await store.close()
    }
  }
}

const inFlightCase = (name, processes) => ({
  name,
  kind: 'doc',
  unit: 'set',
  rounds: 7,
  measures: [{
    of: 'a set',
    targets: [
      { peers: ['lmdb-flushed', 'lmdb-flushed-shared'], atLeast: 1.5 },
      { peers: ['better-sqlite3'], atLeast: 5 }
    ]
  }],

  async prepare (store, place) {
    const crew = await startCrew(__filename, 'writer', processes, place)
    return { crew, place, written: Array(processes).fill(0) }
  },

  async answer (store) {
    await store.set('first', { answer: 42 })
    return store.get('first')
  },

  reset () {},

  async run (_, { crew, written }) {
    const { counts, nanosecondsEach } = await workTogether(crew, 'write')
    counts.forEach((count, member) => { written[member] += count })
    return { 'a set': nanosecondsEach }
  },

  async verify (_, { crew, place, written }) {
    await Promise.all(crew.ask('close'))
    const fresh = await startCompanion(__filename, 'reader', place)
    await fresh.ask('verify', written)
    await fresh.end()
  },

  finish: ({ crew }) => crew.end()
})

module.exports = {
  id: 'P8',
  title: `durable sets, ${IN_FLIGHT} in flight in each process`,
  product: 'commonhold-async',
  peers: ['commonhold-async', 'lmdb-flushed', 'lmdb-flushed-shared', 'better-sqlite3'],
  cases: [inFlightCase('1 process', 1), inFlightCase('4 processes', 4)],
  roles: { writer, reader }
}
