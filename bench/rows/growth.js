'use strict'

// How much larger than the live data a store's file becomes under relaxed writes: pages that the
// last checkpoint needs cannot be used again before the next one. Each round has a store of its
// own, since a file never shrinks.

const fs = require('node:fs')
const path = require('node:path')
const { startCrew, workTogether } = require('../crew')
const { makeEntries, randomFrom } = require('../documents')
const { keepPace } = require('../load')

const COUNT = 10_000
const ROUND_MS = 2500
const ROUNDS = 3
const MOST_BYTES = 64 * 1024 * 1024
const SUBJECTS = ['commonhold-relaxed', 'commonhold-relaxed-1s']

/** A process that writes to the store of each round. */
async function writer ({ peerFile, member }) {
  const random = randomFrom(member)
  const entries = makeEntries('doc', COUNT)
  let store
  return {
    async open (directory) { store = await require(peerFile).open(directory, 'doc') },
    overwrite ({ perSecond }) {
      const any = () => entries[Math.floor(random() * COUNT)]
      const overwriteOne = () => {
        const [key] = any()
        const [, value] = any()
        store.set(key, value)
      }
      const { count, startedAt, endedAt } = keepPace(perSecond ?? Infinity, ROUND_MS, overwriteOne)
      return { count, startedAt, endedAt }
    },
    close: () => store.close()
  }
}

const nameOf = (processes, perSecond) => 'file growth, ' +
  `${perSecond === undefined ? 'flat out' : `${perSecond} a second`}, ` +
  `${processes} ${processes === 1 ? 'process' : 'processes'}`

/** So many processes overwrite documents at random, `perSecond` in all. */
const growthCase = ({ processes, perSecond, peers = [] }) => ({
  name: nameOf(processes, perSecond),
  unit: 'set',
  rounds: ROUNDS,
  cold: true,
  peers: [...SUBJECTS, ...peers],
  measures: [
    {
      of: 'the file above the live data',
      in: 'bytes',
      targets: SUBJECTS.map(subject => ({ subject, highestAtMost: MOST_BYTES }))
    },
    { of: 'the file', in: 'bytes' },
    { of: 'a set' }
  ],

  async prepare (store, { peerFile, directory }) {
    const crew = await startCrew(__filename, 'writer', processes, { peerFile })
    return { crew, peerFile, directory, entries: makeEntries('doc', COUNT), round: 0 }
  },

  answer: () => COUNT,

  async run (_, state) {
    const directory = path.join(state.directory, `round-${state.round++}`)
    fs.mkdirSync(directory, { mode: 0o700 })
    const store = await require(state.peerFile).open(directory, 'doc')
    await store.setMany(state.entries)
    await Promise.all(state.crew.ask('open', directory))
    const share = perSecond && perSecond / processes
    const { nanosecondsEach } = await workTogether(state.crew, 'overwrite', { perSecond: share })
    const { fileBytes, liveBytes } = store.space()
    await Promise.all(state.crew.ask('close'))
    await store.close()
    fs.rmSync(directory, { recursive: true })
    return {
      'the file above the live data': fileBytes - liveBytes,
      'the file': fileBytes,
      'a set': nanosecondsEach
    }
  },

  finish: ({ crew }) => crew.end()
})

module.exports = {
  id: 'growth',
  title: 'relaxed writes',
  product: 'commonhold-relaxed',
  cases: [
    growthCase({ processes: 1 }),
    growthCase({ processes: 3 }),
    growthCase({ processes: 1, perSecond: 2000 }),
    growthCase({ processes: 3, perSecond: 2000 })
  ],
  growthCase,
  roles: { writer }
}
