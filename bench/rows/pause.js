'use strict'

// How long the event loop of an agent stands still while another process holds the writer: an
// agent that writes by `store.async`, and one that writes by `set`, for comparison. Both go on
// reading: known and new namespaces, everything, lists of keys, figures. No peer has the same.

const { monitorEventLoopDelay } = require('node:perf_hooks')
const { setTimeout: sleep } = require('node:timers/promises')
const { now } = require('../arrivals')
const { makeEntries } = require('../documents')
const { startHolder } = require('../holders')

const HELD_MS = 1000
// Beyond the end of the holding, so that what waited for it is seen, too.
const AFTER_MS = 100
const COUNT = 200
// More than a process keeps handles of: each one is new again when its turn comes.
const NAMESPACES = 300
const TICK_MS = 1

/** Synchronous reads; each is called in turn, one in a tick. */
const reads = {
  get: ({ namespace, tick }) => namespace.get(`doc:${String(tick % COUNT).padStart(6, '0')}`),
  'get in a new namespace': ({ store, tick }) =>
    store.useNamespace(`other-${tick % NAMESPACES}`).get('key'),
  getAll: ({ namespace }) => namespace.getAll({ prefix: 'doc:' }),
  listKeys: ({ namespace }) => namespace.listKeys({ prefix: 'doc:' }),
  stats: ({ store }) => store.stats()
}

/** The longest of what was timed under each name, in nanoseconds. */
class Longest {
  times = {}

  time (name, call) {
    const start = now()
    const result = call()
    this.note(name, now() - start)
    return result
  }

  note (name, nanoseconds) {
    this.times[name] = Math.max(this.times[name] ?? 0, nanoseconds)
  }
}

/** An agent's loop: in each tick a set and a read. Resolves when all sets are done. */
async function live (agent, longest, until) {
  const names = Object.keys(reads)
  const sets = []
  let woken = now()
  for (let tick = 0; now() < until; tick++) {
    const set = longest.time('the call of set', () => agent.set(`set:${tick % COUNT}`, { tick }))
    sets.push(set)
    const name = names[tick % names.length]
    longest.time(name, () => reads[name]({ ...agent, tick: Math.floor(tick / names.length) }))
    await sleep(TICK_MS)
    const last = woken
    woken = now()
    longest.note('the longest pause', Math.max(0, woken - last - TICK_MS * 1e6))
  }
  await Promise.all(sets)
  return sets.length
}

const MEASURES = ['the longest pause', 'the same by monitorEventLoopDelay', 'the call of set']

const pauseCase = (name, role) => ({
  name,
  unit: 'round',
  rounds: 7,
  cold: true,
  measures: [...MEASURES, ...Object.keys(reads)].map(of => ({ of })),

  async prepare ({ store, set }, { directory }) {
    const namespace = store.useNamespace('bench')
    namespace.setMany(makeEntries('doc', COUNT))
    for (let i = 0; i < NAMESPACES; i++) store.useNamespace(`other-${i}`).set('key', i)
    const holder = await startHolder(role, directory)
    return { holder, agent: { store, namespace, set } }
  },

  answer: ({ store }) => store.listNamespaces().length,

  async run (_, { holder, agent }) {
    const longest = new Longest()
    const monitor = monitorEventLoopDelay({ resolution: TICK_MS })
    // It sees only what lies between two of its own ticks.
    monitor.enable()
    await holder.ask('hold', HELD_MS)
    await sleep(TICK_MS * 5)
    await live(agent, longest, now() + (HELD_MS + AFTER_MS) * 1e6)
    monitor.disable()
    longest.note('the same by monitorEventLoopDelay', monitor.max - TICK_MS * 1e6)
    return longest.times
  },

  finish: ({ holder }) => holder.end()
})

module.exports = {
  id: 'pause',
  title: 'of an agent',
  product: 'commonhold-async',
  peers: ['commonhold-async', 'commonhold'],
  cases: [
    pauseCase('nobody holds the writer'),
    pauseCase('writer.lock held for a second', 'locker'),
    pauseCase('a writer stopped for a second', 'stopper')
  ]
}
