'use strict'

// One of several processes that do random calls on few keys, and say what they do, before and
// after each call (support/checker.js judges it). With `lanes` so many calls are under way at once,
// most of them calls of store.async.

const { args, say } = require('../support/agent')
const { generator } = require('../support/random')
const { openStore } = require(args.package ?? '../..')

const store = openStore({ path: args.path })
const random = generator(args.seed)
const cell = new Int32Array(new SharedArrayBuffer(4))
const SHARED = ['shared/a/1', 'shared/a/2', 'shared/b/1', 'shared/b/2']
const REGISTERS = ['register/r/1', 'register/r/2']
const COUNTERS = ['counter/c/1']

let values = 0
const newValue = () => `${args.name} ${++values}`
const now = () => Number(process.hrtime.bigint() - BigInt(args.clock))

/** The namespace of a key ('kind/namespace/key') in a store or transaction, and the key in it. */
function placeOf (key, from = store) {
  const [kind, namespace, rest] = key.split('/')
  return [from.useNamespace(`${kind}/${namespace}`), rest]
}

/** What a call with ifVersion expects: the present entry, mostly. */
function expectation (key) {
  const [n, k] = placeOf(key)
  const entry = n.getEntry(k)
  return { expected: entry?.version ?? 0, expectedValue: entry?.value ?? null }
}

const CALLS = {
  get () {
    return { kind: 'get', key: random.pick([...SHARED, ...REGISTERS, ...COUNTERS]) }
  },
  entry () {
    return { kind: 'entry', key: random.pick([...SHARED, ...REGISTERS]) }
  },
  set () {
    return { kind: 'set', key: random.pick([...SHARED, ...REGISTERS]), value: newValue() }
  },
  setIf () {
    const key = random.pick([...SHARED, ...REGISTERS])
    return { kind: 'setIf', key, value: newValue(), ...expectation(key) }
  },
  deleteIf () {
    const key = random.pick(REGISTERS)
    return { kind: 'deleteIf', key, ...expectation(key) }
  },
  increment () {
    return { kind: 'increment', key: random.pick(COUNTERS) }
  },
  transaction () {
    const reads = SHARED.filter(() => random.below(2) === 1)
    const list = random.below(3) === 0 ? random.pick(['shared/a', 'shared/b']) : null
    const isReader = random.below(2) === 0
    const written = isReader ? [] : SHARED.filter(() => random.below(3) === 0)
    const deletes = () => args.lanes === undefined && random.below(4) === 0
    const writes = written.map((key) => [key, deletes() ? null : newValue()])
    return { kind: 'transaction', reads, list, writes: Object.fromEntries(writes) }
  }
}

/** Does a call of a store or of its `async`; `id` is the key of a transaction's marker. */
async function perform (api, call, id) {
  const { kind, key, value = null, expected: ifVersion } = call
  if (kind === 'transaction') {
    return { reads: await (api === store ? performTransaction : performLater)(call, id) }
  }
  const [n, k] = placeOf(key, api)
  switch (kind) {
    case 'get': return { value: await n.get(k, null) }
    case 'entry': {
      const entry = await n.getEntry(k)
      return { value: entry?.value ?? null, version: entry?.version ?? 0 }
    }
    case 'set': return { version: await n.set(k, value) }
    case 'increment': return { value: await n.increment(k) }
  }
  // Somebody may be faster.
  if (api === store) pause()
  else await pauseLater()
  try {
    if (kind === 'setIf') return { version: await n.set(k, value, { ifVersion }) }
    return { deleted: ifVersion !== 0 && await n.delete(k, { ifVersion }) }
  } catch (error) {
    if (error.code !== 'ERR_CONFLICT') throw error
    return { conflict: true }
  }
}

/** Returns what it has read, key -> value or null. */
function performTransaction ({ reads, list, writes }, id) {
  return store.transaction((tx) => {
    const seen = {}
    for (const key of reads) {
      const [n, k] = placeOf(key, tx)
      seen[key] = n.get(k, null)
      pause()
      // Takes a newer snapshot for the store, so that the transaction's is gone.
      if (random.below(2) === 0) store.has('anything')
    }
    if (list !== null) {
      const all = tx.useNamespace(list).getAll()
      for (const key of SHARED.filter((key) => key.startsWith(`${list}/`))) {
        seen[key] = all[placeOf(key, tx)[1]] ?? null
      }
    }
    pause()
    for (const [key, value] of Object.entries(writes)) {
      const [n, k] = placeOf(key, tx)
      if (value === null) n.delete(k)
      else n.set(k, value)
    }
    if (Object.keys(writes).length > 0) tx.useNamespace('markers').set(id, true)
    return seen
  })
}

/** As performTransaction, with awaits. */
function performLater ({ reads, list, writes }, id) {
  return store.async.transaction(async (tx) => {
    const seen = {}
    for (const key of reads) {
      const [n, k] = placeOf(key, tx)
      seen[key] = await n.get(k, null)
      await pauseLater()
    }
    if (list !== null) {
      const all = await tx.useNamespace(list).getAll()
      for (const key of SHARED.filter((key) => key.startsWith(`${list}/`))) {
        seen[key] = all[placeOf(key, tx)[1]] ?? null
      }
    }
    await pauseLater()
    for (const [key, value] of Object.entries(writes)) {
      const [n, k] = placeOf(key, tx)
      if (value === null) await n.delete(k)
      else await n.set(k, value)
    }
    if (Object.keys(writes).length > 0) await tx.useNamespace('markers').set(id, true)
    return seen
  })
}

/** Gives the others time, now and then. */
function pause () {
  if (random.below(2) === 0) Atomics.wait(cell, 0, 0, random.below(3))
}

async function pauseLater () {
  if (random.below(2) === 0) await new Promise(setImmediate)
}

const kinds = Object.keys(CALLS)

/** One call after another. */
async function lane (number) {
  for (let round = 0; round < args.calls; round++) {
    const call = CALLS[random.pick([...kinds, 'transaction', 'transaction'])]()
    const id = `${args.name}/${number}/${round}`
    const api = args.lanes === undefined || random.below(4) === 0 ? store : store.async
    say({ id, call, at: now() })
    const result = await perform(api, call, id)
    say({ id, result, end: now() })
  }
}

Promise.all(Array.from({ length: args.lanes ?? 1 }, (_, number) => lane(number)))
  .then(() => store.close())
