'use strict'

// What a writer does, step by step, and what the store holds after so many steps. Each step is one
// commit at most, and depends on nothing but the seed, the writer's name and the step's number: so
// whoever finds a store can say after which step it is.

const { generator } = require('../../__test__/support/random')

const KINDS = ['set', 'set', 'set', 'many', 'many', 'transaction', 'transaction', 'jobs', 'delete',
  'clear', 'large', 'expiring', 'push', 'push', 'claim', 'complete']
// A writer whose name begins with one of these words does these steps only.
const KINDS_OF = {
  set: ['set', 'large', 'delete'],
  setMany: ['many', 'clear'],
  transaction: ['transaction'],
  queue: ['push', 'claim', 'complete'],
  expiry: ['expiring'],
  recycling: ['jobs'],
  // What needs no answer before the next step.
  async: ['set', 'set', 'large', 'delete', 'many', 'clear', 'expiring', 'push']
}
const JOBS = 150
const LEASE_MS = 3_600_000

/** The step `n` of a writer. */
function stepOf (seed, writer, n) {
  let mixed = seed
  for (const letter of `${writer} ${n}`) mixed = Math.imul(mixed ^ letter.charCodeAt(0), 0x01000193)
  const random = generator(mixed >>> 0)
  random.next()
  const kind = random.pick(KINDS_OF[writer.split(' ')[0]] ?? KINDS)
  const text = `${writer} ${n} `.repeat(kind === 'large' ? random.below(6_000) : random.below(60))
  return { n, kind, random, value: { n, writer, text } }
}

/** The state of a writer's part of the store. */
function emptyState () {
  return { namespaces: {}, tasks: {}, claimed: undefined, total: 0 }
}

/**
 * Plays a step on a state of the model and on a store, where one is given. Both go through the
 * same code, so they cannot drift apart.
 */
function perform (step, writer, state, store) {
  actions[step.kind](step, new Model(writer, state), store && new Real(writer, store, state))
  state.step = step.n
}

/** Plays a step on `store.async`; resolves when the store has acknowledged it. */
function performAsync (step, writer, store) {
  const side = new Promised(writer, store.async)
  actions[step.kind](step, side)
  return side.promise
}

const actions = {
  set ({ random, value }, ...sides) {
    const key = `key ${random.below(40)}`
    for (const side of present(sides)) side.batch((put) => put('singles', key, value))
  },
  large: (...rest) => actions.set(...rest),
  many ({ random, n, value }, ...sides) {
    const keys = Array.from({ length: 20 }, (_, index) => `${random.below(4)}/${n % 5}/${index}`)
    const entries = keys.map((key) => [key, { ...value, key }])
    for (const side of present(sides)) side.many('batches', entries)
  },
  transaction ({ random, value }, ...sides) {
    const keys = ['a', 'b', 'c'].map((name) => [name, `key ${random.below(10)}`])
    for (const side of present(sides)) {
      side.batch((put, remove, count) => {
        for (const [name, key] of keys) put(name, key, value)
        remove('singles', keys[0][1])
        count()
      })
    }
  },
  jobs ({ random, value }, ...sides) {
    const jobs = Array.from({ length: 8 }, () => `job ${random.below(JOBS)}`)
    for (const side of present(sides)) {
      side.batch((put) => { for (const job of jobs) put(job, 'state', value) })
    }
  },
  delete ({ random }, ...sides) {
    const key = `key ${random.below(40)}`
    for (const side of present(sides)) side.batch((put, remove) => remove('singles', key))
  },
  clear ({ random }, ...sides) {
    const prefix = `${random.below(4)}/`
    for (const side of present(sides)) side.clear('batches', prefix)
  },
  expiring ({ n, random, value }, ...sides) {
    const ttl = random.pick([20, LEASE_MS])
    for (const side of present(sides)) side.expiring(ttl === 20 ? `soon ${n % 7}` : 'late', value, ttl)
  },
  push ({ n, value }, ...sides) {
    for (const side of present(sides)) side.push(`task ${n}`, value)
  },
  claim (_, ...sides) { for (const side of present(sides)) side.claim() },
  complete ({ n }, ...sides) { for (const side of present(sides)) side.complete({ by: n }) }
}

// The store first: what the model has forgotten after a step, it may still need for that step.
const present = (sides) => sides.filter(Boolean).reverse()

class Model {
  constructor (writer, state) {
    this.writer = writer
    this.state = state
  }

  #namespace (name) { return (this.state.namespaces[name] ??= {}) }

  batch (fn) {
    const remove = (name, key) => delete this.#namespace(name)[key]
    fn((name, key, value) => { this.#namespace(name)[key] = value }, remove,
      () => { this.state.total += 1 })
  }

  many (name, entries) { Object.assign(this.#namespace(name), Object.fromEntries(entries)) }

  clear (name, prefix) {
    const namespace = this.#namespace(name)
    for (const key of Object.keys(namespace)) if (key.startsWith(prefix)) delete namespace[key]
  }

  expiring (key, value) { if (key === 'late') this.#namespace('expiring')[key] = value }

  push (id, item) { this.state.tasks[id] = { item, status: 'pending', attempt: 0 } }

  claim () {
    const { tasks } = this.state
    const id = Object.keys(tasks).find((id) => tasks[id].status === 'pending')
    if (id === undefined) return
    Object.assign(tasks[id], { status: 'claimed', attempt: 1 })
    this.state.claimed = id
  }

  complete (result) {
    if (this.state.claimed === undefined) return
    Object.assign(this.state.tasks[this.state.claimed], { status: 'completed', result })
    this.state.claimed = undefined
  }
}

class Real {
  constructor (writer, store, state) {
    this.store = store
    this.state = state
    this.name = (name) => `${writer}/${name}`
    this.queue = store.useQueue(writer, { lease: LEASE_MS })
  }

  #namespace (name) { return this.store.useNamespace(this.name(name)) }

  batch (fn) {
    this.store.transaction((tx) => {
      const of = (name) => tx.useNamespace(name)
      fn((name, key, value) => of(this.name(name)).set(key, value),
        (name, key) => of(this.name(name)).delete(key),
        () => of('shared').increment('total'))
    })
  }

  many (name, entries) { this.#namespace(name).setMany(entries) }
  clear (name, prefix) { this.#namespace(name).clear({ prefix }) }
  expiring (key, value, ttl) { this.#namespace('expiring').set(key, value, { ttl }) }
  push (id, item) { this.queue.push(item, { id }) }
  claim () { this.state.task = this.queue.claim() ?? this.state.task }

  complete (result) {
    if (this.state.claimed !== undefined) this.state.task.complete(result)
  }
}

/** Steps of one call each, of which many are on their way at once. */
class Promised {
  constructor (writer, store) {
    this.namespace = (name) => store.useNamespace(`${writer}/${name}`)
    this.queue = store.useQueue(writer)
  }

  batch (fn) {
    fn((name, key, value) => { this.promise = this.namespace(name).set(key, value) },
      (name, key) => { this.promise = this.namespace(name).delete(key) })
  }

  many (name, entries) { this.promise = this.namespace(name).setMany(entries) }
  clear (name, prefix) { this.promise = this.namespace(name).clear({ prefix }) }
  expiring (key, value, ttl) { this.promise = this.namespace('expiring').set(key, value, { ttl }) }
  push (id, item) { this.promise = this.queue.push(item, { id }) }
}

/**
 * The state after the steps before `end`. A writer that was started anew at some step has lost the
 * task that it had claimed.
 */
function stateAfter (seed, writer, end, starts = []) {
  const state = emptyState()
  advance(state, seed, writer, 0, end, starts)
  return state
}

function advance (state, seed, writer, from, end, starts) {
  for (let n = from; n < end; n++) {
    if (starts.includes(n)) state.claimed = undefined
    perform(stepOf(seed, writer, n), writer, state)
  }
}

/** The states of a writer one after the other, to look up after which step a store is. */
class Timeline {
  #ends = new Map()
  #state = emptyState()
  #end = 0
  #totals = [0]

  constructor (seed, writer, starts) {
    Object.assign(this, { seed, writer, starts })
    this.#note()
  }

  #note () {
    const text = describe(this.#state)
    this.#ends.set(text, [...this.#ends.get(text) ?? [], this.#end])
  }

  /** The numbers of steps, at most `most`, after which the state looks like this. */
  find (text, most) {
    while (this.#end < most) {
      advance(this.#state, this.seed, this.writer, this.#end, this.#end + 1, this.starts)
      this.#totals[++this.#end] = this.#state.total
      this.#note()
    }
    return (this.#ends.get(text) ?? []).filter((end) => end <= most)
  }

  /** The entries in which a state differs from the one after `end` steps. */
  differences (text, end) {
    const [expected] = [...this.#ends].find(([, ends]) => ends.includes(end))
    const entries = (text) => JSON.parse(text).flatMap((part) => part.flatMap((item) =>
      typeof item === 'string' ? [item] : item[1].map((entry) => `${item[0]}/${entry}`)))
    const [seen, wanted] = [new Set(entries(text)), new Set(entries(expected))]
    const only = (some, others) => [...some].filter((entry) => !others.has(entry)).slice(0, 4)
    return `there: ${only(seen, wanted).join(', ')}; not there: ${only(wanted, seen).join(', ')}`
  }

  /** What the writer had added to the common counter. */
  total (end) { return this.#totals[end] }
}

/** What a store holds of a writer, in the form of the model. */
function observe (store, writer) {
  const namespaces = {}
  for (const name of store.listNamespaces({ prefix: `${writer}/` })) {
    const content = store.useNamespace(name).getAll()
    namespaces[name.slice(writer.length + 1)] = content
  }
  for (const key of Object.keys(namespaces.expiring ?? {})) {
    if (key.startsWith('soon ')) delete namespaces.expiring[key]
  }
  const tasks = {}
  for (const { id, item, status, attempt, result } of store.useQueue(writer).list()) {
    tasks[id] = { item, status, attempt, ...(result === undefined ? {} : { result }) }
  }
  return { namespaces, tasks }
}

/** Two states are the same if their texts are. */
function describe ({ namespaces, tasks }) {
  const filled = Object.entries(namespaces).map(([name, content]) =>
    [name, Object.entries(content).map(([key, value]) => `${key}=${brief(value)}`).sort()])
    .filter(([, content]) => content.length > 0)
  const states = Object.entries(tasks).map(([id, { item, status, attempt, result }]) =>
    `${id}: ${brief(item)} ${status} ${attempt} ${result?.by}`)
  return JSON.stringify([filled.sort(byKey), states.sort()])
}

const known = new WeakMap()

/** A value in short; its text is compared with what it must be. */
function brief (value) {
  const { n, writer, key = '', text, ...more } = value
  if (!known.has(value)) {
    const unit = `${writer} ${n} `
    const isRight = text === unit.repeat(text.length / unit.length) && Object.keys(more).length === 0
    known.set(value, isRight ? `${n} ${writer} ${key} ${text.length}` : JSON.stringify(value))
  }
  return known.get(value)
}

const byKey = ([a], [b]) => (a < b ? -1 : 1)

module.exports = { Timeline, describe, observe, perform, performAsync, stateAfter, stepOf }
