'use strict'

// P10: 8 processes change one key at the same time, without pause. Every change that was
// acknowledged is counted, and in the end a fresh process must find as many. lmdb-js, by
// transactionSync, is there for information.

const { startCompanion } = require('../companion')
const { startCrew, workTogether } = require('../crew')
const { keepInFlight } = require('../load')

const PROCESSES = 8
const ROUND_MS = 400
const MANY = 100
const FAIREST = 2

const STATUS = { stage: 'running', agent: 'bench', count: 0 }

const works = {
  increment: {
    unit: 'increment',
    change: store => store.increment('counter'),
    read: store => store.get('counter')
  },
  update: {
    unit: 'update',
    change: store => store.update('status', status => ({ ...status, count: status.count + 1 })),
    read: async store => (await store.get('status')).count
  }
}

async function changer ({ peerFile, directory, work, inFlight }) {
  const store = await require(peerFile).open(directory)
  return {
    change: () => keepInFlight(inFlight, ROUND_MS, () => works[work].change(store)),
    read: () => works[work].read(store)
  }
}

const counterCase = (name, { product, peers, work, inFlight, targets }) => ({
  name,
  unit: works[work].unit,
  rounds: 7,
  product: product[0],
  peers: [...product, ...peers],
  measures: [
    { of: 'all processes together', targets },
    {
      of: 'the fastest process over the slowest',
      in: 'times',
      targets: product.map(subject => ({ subject, medianAtMost: FAIREST }))
    }
  ],

  async prepare (store, place) {
    await store.setMany([['counter', 0], ['status', STATUS]])
    const options = { ...place, work, inFlight }
    return { crew: await startCrew(__filename, 'changer', PROCESSES, options), options, made: 0 }
  },

  /** As many as were made, none before the first. */
  async answer (store, state) {
    const before = await works[work].read(store)
    await works[work].change(store)
    state.made++
    return [before, await works[work].read(store)]
  },

  reset () {},

  async run (_, state) {
    const { count, counts, nanosecondsEach } = await workTogether(state.crew, 'change')
    state.made += count
    return {
      'all processes together': nanosecondsEach,
      // A process that never came to its turn counts as having come to one.
      'the fastest process over the slowest': Math.max(...counts) / Math.max(1, Math.min(...counts))
    }
  },

  async verify (_, { options, made }) {
    const fresh = await startCompanion(__filename, 'changer', options)
    const found = await fresh.ask('read')
    await fresh.end()
    if (found !== made) throw new Error(`lost: ${made} acknowledged, ${found} found`)
  },

  finish: ({ crew }) => crew.end()
})

/** Each of these of the product at least twice as fast as the peer of equal durability. */
const twice = (product, peer) =>
  product.map(subject => ({ subject, peers: [peer], atLeast: 2 }))

const STRICT = ['commonhold', 'commonhold-async']

module.exports = {
  id: 'P10',
  title: `${PROCESSES} processes, one key`,
  cases: [
    counterCase('increment', {
      product: STRICT,
      peers: ['better-sqlite3', 'lmdb'],
      work: 'increment',
      inFlight: 1,
      targets: twice(STRICT, 'better-sqlite3')
    }),
    counterCase(`increment, ${MANY} in flight`, {
      product: ['commonhold-async'],
      peers: ['better-sqlite3'],
      work: 'increment',
      inFlight: MANY,
      targets: twice(['commonhold-async'], 'better-sqlite3')
    }),
    counterCase('increment, relaxed', {
      product: ['commonhold-relaxed'],
      peers: ['better-sqlite3-normal'],
      work: 'increment',
      inFlight: 1,
      targets: twice(['commonhold-relaxed'], 'better-sqlite3-normal')
    }),
    counterCase('update', {
      product: STRICT,
      peers: ['better-sqlite3', 'lmdb'],
      work: 'update',
      inFlight: 1
    })
  ],
  roles: { changer }
}
