'use strict'

// Transactions within one process; the other writer is a second handle of the same store.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { openStore } = require('..')
const { sameProperties, temporaryStore, throwsCode } = require('./support/store')
const { seededRandom } = require('./support/random')

/** A store, its namespace "n", and another writer's view of the same namespace. */
function setting (t, options) {
  const store = temporaryStore(t, { agent: 'mine', ...options })
  const other = openStore({ path: store.path, agent: 'other' })
  t.after(() => other.close())
  return { store, other, mine: store.useNamespace('n'), theirs: other.useNamespace('n') }
}

test('a transaction reads and writes over namespaces and returns what its function does', (t) => {
  const { store } = setting(t)
  const [stock, orders] = [store.useNamespace('stock'), store.useNamespace('orders')]
  stock.set('bolts', 10)
  const result = store.transaction((tx) => {
    const [stock, orders] = [tx.useNamespace('stock'), tx.useNamespace('orders')]
    const left = stock.get('bolts') - 3
    assert.equal(stock.set('bolts', left), undefined)
    orders.set('order-1', { bolts: 3 })
    return { left }
  })
  assert.deepEqual(result, { left: 7 })
  assert.equal(stock.get('bolts'), 7)
  assert.deepEqual(orders.get('order-1'), { bolts: 3 })
  assert.equal(stock.getEntry('bolts').version, orders.getEntry('order-1').version)
})

test('nothing is visible before the commit, to nobody', (t) => {
  const { store, mine, theirs } = setting(t)
  store.transaction((tx) => {
    tx.useNamespace('n').set('key', 1)
    assert.equal(theirs.get('key'), undefined)
    assert.equal(mine.get('key'), undefined)
    assert.deepEqual(store.listNamespaces(), [])
  })
  assert.equal(theirs.get('key'), 1)
})

test('throwing rolls back and throws the same error', (t) => {
  const { store, mine } = setting(t)
  mine.set('kept', 1)
  const error = new Error('mine')
  assert.throws(() => store.transaction((tx) => {
    const n = tx.useNamespace('n')
    n.set('new', 1)
    n.delete('kept')
    throw error
  }), (thrown) => thrown === error)
  assert.deepEqual(mine.getAll(), { kept: 1 })
  const { lastVersion } = store.stats()
  assert.equal(store.stats().lastVersion, lastVersion)
  mine.set('after', 2)
})

test('a transaction that writes nothing commits nothing', (t) => {
  const { store, mine } = setting(t)
  mine.set('a', 1)
  const { lastVersion } = store.stats()
  store.transaction((tx) => {
    const n = tx.useNamespace('n')
    assert.equal(n.delete('missing'), false)
    assert.equal(n.deleteMany(['missing', 'too']), 0)
    assert.equal(n.clear({ prefix: 'x' }), 0)
    assert.equal(n.setMany([]), 0)
    return n.count()
  })
  assert.equal(store.stats().lastVersion, lastVersion)
  assert.deepEqual(store.transaction((tx) => tx.useNamespace('never').getAll()), {})
  assert.deepEqual(store.listNamespaces(), ['n'])
})

test('a transaction runs again when another writer changed what it had read', (t) => {
  const { store, mine, theirs } = setting(t)
  mine.set('key', 1)
  const seen = []
  store.transaction((tx) => {
    const n = tx.useNamespace('n')
    seen.push(n.get('key'))
    if (seen.length < 4) theirs.increment('key')
    n.set('copy', n.get('key'))
  })
  assert.deepEqual(seen, [1, 2, 3, 4])
  assert.equal(mine.get('copy'), 4)
})

// What a transaction may have learnt, and what another writer does to make it untrue.
const READS = {
  'get of an entry': [(n) => n.get('a'), (n) => n.set('a', 9)],
  'get of an entry, written with the same value': [(n) => n.get('a'), (n) => n.set('a', 1)],
  'get of an entry, deleted': [(n) => n.get('a'), (n) => n.delete('a')],
  'get of a missing key': [(n) => n.get('new'), (n) => n.set('new', 1)],
  'get in a missing namespace': [(n, tx) => tx.useNamespace('m').get('x'), (n, store) =>
    store.useNamespace('m').set('x', 1)],
  'count of a missing namespace': [(n, tx) => tx.useNamespace('m').count(), (n, store) =>
    store.useNamespace('m').set('x', 1)],
  getEntry: [(n) => n.getEntry('a'), (n) => n.set('a', 9)],
  has: [(n) => n.has('new'), (n) => n.set('new', 1)],
  getMany: [(n) => n.getMany(['a', 'new']), (n) => n.set('new', 1)],
  getAll: [(n) => n.getAll(), (n) => n.set('new', 1)],
  'getAll, an entry changed': [(n) => n.getAll(), (n) => n.set('a', 9)],
  listKeys: [(n) => n.listKeys(), (n) => n.delete('a')],
  'listKeys after get': [(n) => [n.get('a'), n.listKeys()], (n) => n.set('a', 3)],
  count: [(n) => n.count(), (n) => n.set('new', 1)],
  'count, cleared': [(n) => n.count(), (n) => n.clear()],
  'what clear removed': [(n) => n.clear({ prefix: 'a' }), (n) => n.set('aa', 1)],
  'what delete found': [(n) => n.delete('new'), (n) => n.set('new', 1)],
  'what deleteMany found': [(n) => n.deleteMany(['a', 'new']), (n) => n.set('new', 1)],
  'what increment added to': [(n) => n.increment('a'), (n) => n.increment('a')],
  'what ifVersion compared': [(n) => n.set('new', 1, { ifVersion: 0 }), (n) => n.set('new', 2)],
  'getEntry of an own write': [(n) => [n.set('a', 5), n.getEntry('a')], (n) => n.set('a', 9)]
}

for (const [name, [read, change]] of Object.entries(READS)) {
  test(`runs again after: ${name}`, (t) => {
    const { store, other, mine, theirs } = setting(t)
    mine.setMany({ a: 1, b: 2 })
    let runs = 0
    const run = (tx) => {
      if (++runs > 5) throw new Error('it runs on and on')
      try {
        read(tx.useNamespace('n'), tx)
      } catch (error) {
        if (runs === 1 || error.code !== 'ERR_CONFLICT') throw error
      }
      if (runs === 1) change(theirs, other)
      tx.useNamespace('other').set('x', runs)
    }
    store.transaction(run)
    assert.equal(runs, 2)
    assert.equal(store.useNamespace('other').get('x'), 2)
  })
}

test('a transaction does not run again for what it has not read', (t) => {
  const { store, other, mine, theirs } = setting(t)
  mine.setMany({ a: 1, b: 2 })
  let runs = 0
  store.transaction((tx) => {
    runs += 1
    const n = tx.useNamespace('n')
    assert.equal(n.get('a'), 1)
    theirs.set('b', 3)
    theirs.set('new', 4)
    theirs.set('written blindly', 5)
    other.useNamespace('elsewhere').set('a', 6)
    // These begin on a newer snapshot if the first is gone: what was read is as it was.
    assert.equal(n.get('a'), 1)
    n.set('written blindly', 7)
    n.setMany({ more: 8 })
  })
  assert.equal(runs, 1)
  sameProperties(mine.getAll(), { a: 1, b: 3, new: 4, 'written blindly': 7, more: 8 })
})

test('all reads see one state, however many commits come between them', (t) => {
  const { store, mine, theirs } = setting(t)
  mine.setMany({ a: 0, b: 0 })
  let runs = 0
  store.transaction((tx) => {
    const n = tx.useNamespace('n')
    if (++runs === 1) {
      assert.equal(n.get('a'), 0)
      theirs.setMany({ a: 1, b: 1 })
      // A read of the outer store takes a new snapshot, so the transaction's is gone.
      assert.equal(mine.get('a'), 1)
      throwsCode(() => n.get('b'), 'ERR_CONFLICT', { message: /runs again/ })
      for (const use of [() => n.get('a'), () => n.count(), () => n.listKeys(), () => n.set('c', 1),
        () => n.setMany({ c: 1 }), () => n.has('b'), () => n.getEntry('b'), () => n.delete('b'),
        () => n.increment('a'), () => n.clear(), () => n.getMany(['a', 'b'])]) {
        throwsCode(use, 'ERR_CONFLICT')
      }
      // What the function makes of it does not count.
      throw new Error('never seen')
    }
    assert.deepEqual(n.getAll(), { a: 1, b: 1 })
  })
  assert.equal(runs, 2)
})

test('of an overtaken run neither result nor writes count, even if it catches the error', (t) => {
  const { store, mine, theirs } = setting(t)
  mine.setMany({ a: 0, b: 0 })
  let runs = 0
  const result = store.transaction((tx) => {
    const n = tx.useNamespace('n')
    n.get('a')
    n.set(`run ${++runs}`, true)
    if (runs === 1) {
      theirs.set('a', 1)
      mine.get('a')
      try { n.get('b') } catch {}
    }
    return runs
  })
  assert.equal(result, 2)
  assert.deepEqual(mine.listKeys(), ['a', 'b', 'run 2'])
})

test('a transaction whose function always changes what it reads ends with an error', (t) => {
  const { store, mine, theirs } = setting(t)
  mine.set('key', 0)
  let runs = 0
  throwsCode(() => store.transaction((tx) => {
    const n = tx.useNamespace('n')
    n.set('key', n.get('key') + 1)
    theirs.increment('key')
    runs += 1
  }), 'ERR_CONFLICT', { message: /1000 times in a row/ })
  assert.equal(runs, 1000)
  assert.equal(mine.get('key'), 1000)
})

test('a transaction sees its own writes, and entries of them as they will be', (t) => {
  const { store, mine, theirs } = setting(t)
  theirs.set('old', 'theirs', { metadata: { a: 1, b: 1 }, ttl: 3_600_000 })
  const before = mine.getEntry('old')
  let inside
  store.transaction((tx) => {
    const n = tx.useNamespace('n')
    n.set('old', 'mine', { metadata: { b: null, c: 2 } })
    n.set('old', 'mine too', { metadata: { d: 3 }, ttl: 60_000 })
    n.set('new', 1)
    inside = { old: n.getEntry('old'), new: n.getEntry('new') }
    n.delete('old')
    assert.equal(n.getEntry('old'), undefined)
    n.set('old', 'fresh')
    inside.fresh = n.getEntry('old')
    n.set('old', 'mine too', { metadata: { e: 4 } })
  })
  const { old } = inside
  assert.equal(old.version, 0)
  assert.equal(old.value, 'mine too')
  assert.deepEqual(old.createdAt, before.createdAt)
  assert.equal(old.createdBy, 'other')
  assert.equal(old.updatedBy, 'mine')
  sameProperties(old.metadata, { a: 1, c: 2, d: 3 })
  assert.ok(old.expiresAt - Date.now() <= 60_000 && old.expiresAt - Date.now() > 0)
  assert.equal(inside.new.createdBy, 'mine')
  assert.equal('expiresAt' in inside.new, false)
  sameProperties(inside.fresh.metadata, {})
  assert.equal(inside.fresh.createdBy, 'mine')
  // Deleted and written again: nothing of the earlier entry stays.
  const after = mine.getEntry('old')
  assert.equal(after.createdBy, 'mine')
  sameProperties(after.metadata, { e: 4 })
  assert.equal('expiresAt' in after, false)
})

test('increment keeps ttl and metadata, of the store and of own writes', (t) => {
  const { store, mine } = setting(t)
  mine.set('stored', 1, { ttl: 3_600_000, metadata: { unit: 'files' } })
  const before = mine.getEntry('stored')
  store.transaction((tx) => {
    const n = tx.useNamespace('n')
    assert.equal(n.increment('stored', 2), 3)
    assert.deepEqual(n.getEntry('stored').expiresAt, before.expiresAt)
    n.set('own', 1, { ttl: 3_600_000, metadata: { unit: 'bytes' } })
    assert.equal(n.increment('own'), 2)
    assert.equal(n.increment('none'), 1)
    n.set('text', 'x')
    throwsCode(() => n.increment('text'), 'ERR_NOT_A_NUMBER')
    throwsCode(() => n.increment('own', 1e308 * 10), 'ERR_INVALID_OPTION', { type: RangeError })
  })
  assert.deepEqual(mine.getEntry('stored').expiresAt, before.expiresAt)
  sameProperties(mine.getEntry('stored').metadata, { unit: 'files' })
  assert.ok(mine.getEntry('own').expiresAt > new Date())
  sameProperties(mine.getEntry('own').metadata, { unit: 'bytes' })
  sameProperties(mine.getMany(['stored', 'own', 'none']), { stored: 3, own: 2, none: 1 })
})

test('ifVersion compares with the stored entry; its conflict is for the function to catch', (t) => {
  const { store, mine } = setting(t)
  const version = mine.set('key', 1)
  let runs = 0
  throwsCode(() => store.transaction((tx) => {
    runs += 1
    tx.useNamespace('n').set('key', 2, { ifVersion: version + 1 })
  }), 'ERR_CONFLICT', { message: /"key" in "n" is at version/ })
  assert.equal(runs, 1)
  store.transaction((tx) => {
    const n = tx.useNamespace('n')
    throwsCode(() => n.set('key', 2, { ifVersion: 0 }), 'ERR_CONFLICT', {
      message: /exists already/
    })
    throwsCode(() => n.delete('key', { ifVersion: version + 1 }), 'ERR_CONFLICT')
    n.set('key', 2, { ifVersion: version })
    n.set('key', 3, { ifVersion: version })
    n.set('new', 4, { ifVersion: 0 })
  })
  sameProperties(mine.getAll(), { key: 3, new: 4 })
})

test('random transactions do what the same calls do one by one, seen inside and after', (t) => {
  const random = seededRandom(t)
  const { store } = setting(t)
  for (let round = 0; round < 60; round++) {
    const [subject, oracle] = [`subject ${round}`, `oracle ${round}`]
    for (let index = 0; index < 20; index++) {
      const operation = randomOperation(random)
      assert.deepEqual(perform(store.useNamespace(subject), operation),
        perform(store.useNamespace(oracle), operation))
    }
    const calls = Array.from({ length: 1 + random.below(40) }, () => randomOperation(random))
    const expected = calls.map((operation) => perform(store.useNamespace(oracle), operation))
    const results = store.transaction((tx) => {
      const n = tx.useNamespace(subject)
      return calls.map((operation) => perform(n, operation))
    })
    calls.forEach((call, index) => assert.deepEqual(results[index], expected[index],
      `round ${round}: ${JSON.stringify(calls.slice(0, index + 1))}`))
    const [a, b] = [subject, oracle].map((name) => store.useNamespace(name))
    assert.deepEqual(Object.entries(a.getAll()), Object.entries(b.getAll()))
    for (const key of a.listKeys()) assert.deepEqual(entryOf(a, key), entryOf(b, key))
    assert.equal(a.count(), b.count())
  }
})

const PREFIXES = ['', 'a', 'ab', 'abc', 'b', '\u{10FFFF}']

function randomOperation (random) {
  const endings = ['', 'a', 'b', 'c', 'ab', '\u{10FFFF}', '\0']
  const key = random.pick(PREFIXES) + random.pick(endings) || 'k'
  const keys = Array.from({ length: random.below(4) }, () => random.pick(PREFIXES) + 'c')
  const range = {
    reverse: random.below(2) === 1,
    ...random.below(2) === 1 && { prefix: random.pick(PREFIXES) },
    ...random.below(3) === 0 && { start: random.pick(PREFIXES) + 'a' },
    ...random.below(3) === 0 && { end: random.pick(PREFIXES) + 'b' },
    ...random.below(2) === 1 && { limit: random.below(6) }
  }
  const options = random.pick([
    undefined, undefined, { ttl: 3_600_000 }, { metadata: { x: null } },
    { metadata: { [random.pick(['x', 'y'])]: random.below(9) } },
    { ttl: 3_600_000, metadata: { z: 1 } }
  ])
  const value = random.below(100)
  return random.pick([
    ['get', key], ['getEntry', key], ['has', key], ['getMany', keys], ['getAll', range],
    ['listKeys', range], ['count'], ['set', key, value, options], ['set', key, value, options],
    ['set', key, 'text', options], ['setMany', keys.map((key) => [key, value]), options],
    ['increment', key, value], ['delete', key], ['delete', key], ['deleteMany', keys],
    ['clear', { prefix: random.pick(PREFIXES) }]
  ])
}

/** What a call gives, without what only a commit can know. */
function perform (namespace, [method, ...args]) {
  try {
    if (method === 'set') {
      // A namespace gives a version, a transaction nothing.
      namespace.set(...args)
      return undefined
    }
    if (method === 'getEntry') return entryOf(namespace, ...args)
    const result = namespace[method](...args)
    return method.startsWith('getA') || method === 'getMany' ? Object.entries(result) : result
  } catch (error) {
    return error.code
  }
}

function entryOf (namespace, key) {
  const entry = namespace.getEntry(key)
  if (entry === undefined) return undefined
  const { version, createdAt, updatedAt, expiresAt, metadata, ...rest } = entry
  return { ...rest, expires: expiresAt !== undefined, metadata: Object.entries(metadata).sort() }
}

test('listings merge what is stored and what was written, over chunks', (t) => {
  const { store, mine } = setting(t)
  const name = (index) => String(index).padStart(6, '0')
  mine.setMany(Array.from({ length: 20_000 }, (_, n) => [name(2 * n), 'x'.repeat(50)]))
  store.transaction((tx) => {
    const n = tx.useNamespace('n')
    n.setMany(Array.from({ length: 20_000 }, (_, index) => [name(2 * index + 1), index]))
    n.clear({ prefix: '001' })
    assert.equal(n.count(), 39_000)
    const keys = n.listKeys()
    assert.equal(keys.length, 39_000)
    assert.deepEqual(keys, [...keys].sort())
    assert.deepEqual(n.listKeys({ reverse: true }), keys.reverse())
    const all = n.getAll()
    assert.equal(Object.keys(all).length, 39_000)
    assert.equal(all[name(4001)], 2000)
    assert.equal(all[name(4000)], 'x'.repeat(50))
  })
  assert.equal(mine.count(), 39_000)
})

test('large values are read whole inside a transaction', (t) => {
  const { store, mine } = setting(t)
  const large = 'x'.repeat(700_000)
  mine.set('stored', large)
  store.transaction((tx) => {
    const n = tx.useNamespace('n')
    n.set('own', large + 'y')
    assert.equal(n.get('stored'), large)
    assert.equal(n.get('own'), large + 'y')
    assert.equal(n.getEntry('own').value, large + 'y')
    sameProperties(n.getMany(['own', 'stored']), { own: large + 'y', stored: large })
  })
})

test('an entry that expires meanwhile is gone for the transaction that read it', async (t) => {
  const { store, mine, other } = setting(t)
  for (const read of [(n) => n.get('key'), (n) => n.count(), (n) => n.listKeys()]) {
    mine.set('key', 1, { ttl: 60 })
    let runs = 0
    const seen = []
    store.transaction((tx) => {
      const n = tx.useNamespace('n')
      if (++runs === 1) {
        seen.push(read(n))
        // The expiry is the event that is waited for.
        while (other.useNamespace('n').has('key'));
      } else {
        seen.push(read(n))
      }
      tx.useNamespace('out').set('x', 1)
    })
    assert.equal(runs, 2)
    assert.notDeepEqual(seen[0], seen[1])
  }
})

test('writing through the outer store inside a transaction is refused, reading is not', (t) => {
  const { store, mine, theirs } = setting(t)
  mine.set('a', 1)
  const schema = { '~standard': { version: 1, validate: (value) => ({ value }) } }
  const checked = store.useNamespace('n', { schema })
  store.transaction((tx) => {
    const refused = [
      () => mine.set('a', 2), () => mine.setMany({ a: 2 }), () => mine.update('a', () => 2),
      () => mine.increment('a'), () => mine.delete('a'), () => mine.deleteMany(['a']),
      () => mine.clear(), () => mine.update('a', () => undefined), () => checked.set('a', 1),
      () => checked.increment('a'), () => store.set('a', 1), () => store.delete('a'),
      () => store.useNamespace('new').set('a', 1),
      () => store.transaction((inner) => inner.useNamespace('n').get('a'))
    ]
    for (const write of refused) {
      throwsCode(write, 'ERR_INVALID_OPTION', { message: /tx\.useNamespace/ })
    }
    assert.equal(mine.get('a'), 1)
    assert.equal(store.get('a'), undefined)
    assert.deepEqual(mine.listKeys(), ['a'])
    assert.deepEqual(store.listNamespaces(), ['n'])
    store.flush()
    theirs.set('other handle', 1)
    tx.useNamespace('n').set('b', 2)
  })
  sameProperties(mine.getAll(), { a: 1, b: 2, 'other handle': 1 })
  mine.set('a', 3)
  assert.throws(() => store.transaction(() => { throw new Error('mine') }))
  mine.set('a', 4)
})

test('two handles of one path may each be in a transaction', (t) => {
  const { store, other, mine } = setting(t)
  store.transaction((tx) => other.transaction((otherTx) => {
    tx.useNamespace('n').set('a', 1)
    otherTx.useNamespace('n').set('b', 2)
  }))
  sameProperties(mine.getAll(), { a: 1, b: 2 })
})

test('async functions, promises and generators are refused and leave nothing behind', async (t) => {
  const { store, mine } = setting(t)
  let runs = 0
  const write = (tx) => { runs += 1; tx.useNamespace('n').set('key', 1) }
  throwsCode(() => store.transaction(async (tx) => write(tx)), 'ERR_ASYNC_TRANSACTION')
  throwsCode(() => store.transaction(async function * (tx) { write(tx) }), 'ERR_ASYNC_TRANSACTION')
  throwsCode(() => store.transaction(function * (tx) { write(tx) }), 'ERR_INVALID_OPTION',
    { type: TypeError })
  assert.equal(runs, 0)
  const thenable = { then: () => { throw new Error('never called') } }
  for (const result of [Promise.resolve(1), Promise.reject(new Error('swallowed')), thenable]) {
    throwsCode(() => store.transaction((tx) => {
      write(tx)
      return result
    }), 'ERR_ASYNC_TRANSACTION')
  }
  assert.equal(runs, 3)
  assert.equal(mine.has('key'), false)
  mine.set('key', 1)
})

test('after its end a transaction is closed, in every method', (t) => {
  const { store, mine } = setting(t)
  mine.set('a', 1)
  const kept = []
  store.transaction((tx) => { kept.push([tx, tx.useNamespace('n')]) })
  try {
    store.transaction((tx) => { kept.push([tx, tx.useNamespace('n')]); throw new Error('mine') })
  } catch {}
  for (const [tx, n] of kept) {
    const uses = [
      () => tx.useNamespace('n'), () => n.get('a'), () => n.getEntry('a'), () => n.has('a'),
      () => n.getMany(['a']), () => n.getAll(), () => n.listKeys(), () => n.count(),
      () => n.set('a', 2), () => n.setMany({ a: 2 }), () => n.delete('a'),
      () => n.deleteMany(['a']), () => n.increment('a'), () => n.clear()
    ]
    for (const use of uses) throwsCode(use, 'ERR_CLOSED', { message: /transaction has ended/ })
    assert.equal(n.name, 'n')
  }
  assert.equal(mine.get('a'), 1)
})

test('a store that is closed inside a transaction commits nothing', (t) => {
  const { store, theirs } = setting(t)
  throwsCode(() => store.transaction((tx) => {
    tx.useNamespace('n').set('a', 1)
    store.close()
    throwsCode(() => tx.useNamespace('n').get('b'), 'ERR_CLOSED')
  }), 'ERR_CLOSED')
  assert.equal(theirs.has('a'), false)
  throwsCode(() => store.transaction(() => 1), 'ERR_CLOSED')
})

test('a read-only store reads in transactions, and refuses to write', (t) => {
  const { store, mine } = setting(t)
  mine.set('a', 1)
  const reader = openStore({ path: store.path, readOnly: true })
  t.after(() => reader.close())
  assert.equal(reader.transaction((tx) => tx.useNamespace('n').get('a')), 1)
  const writes = [(n) => n.set('a', 2), (n) => n.setMany({ a: 2 }), (n) => n.delete('a'),
    (n) => n.deleteMany(['a']), (n) => n.increment('a'), (n) => n.clear()]
  for (const write of writes) {
    throwsCode(() => reader.transaction((tx) => write(tx.useNamespace('n'))), 'ERR_READ_ONLY')
  }
  assert.equal(mine.get('a'), 1)
})

test('bad arguments are refused, and what was written before stays in the transaction', (t) => {
  const { store, mine } = setting(t)
  for (const fn of [undefined, null, {}, 'text']) {
    throwsCode(() => store.transaction(fn), 'ERR_INVALID_OPTION', { type: TypeError })
  }
  throwsCode(() => store.transaction(() => 1, { retries: 3 }), 'ERR_INVALID_OPTION')
  store.transaction((tx) => {
    const n = tx.useNamespace('n')
    n.set('kept', 1)
    const cases = [
      [() => tx.useNamespace(5), 'ERR_INVALID_NAMESPACE'],
      [() => tx.useNamespace(''), 'ERR_INVALID_NAMESPACE'],
      [() => tx.useNamespace('a\n'), 'ERR_INVALID_NAMESPACE'],
      [() => tx.useNamespace('n', { schema: {} }), 'ERR_INVALID_OPTION'],
      [() => n.get(5), 'ERR_INVALID_KEY'], [() => n.get(''), 'ERR_INVALID_KEY'],
      [() => n.get('\ud800'), 'ERR_INVALID_KEY'],
      [() => n.get('k'.repeat(1979)), 'ERR_KEY_TOO_LONG'],
      [() => n.has(''), 'ERR_INVALID_KEY'], [() => n.getEntry(''), 'ERR_INVALID_KEY'],
      [() => n.getMany(['a', '']), 'ERR_INVALID_KEY'], [() => n.getMany('a'), 'ERR_INVALID_KEY'],
      [() => n.set('', 1), 'ERR_INVALID_KEY'], [() => n.set('a', undefined), 'ERR_INVALID_VALUE'],
      [() => n.set('a', () => {}), 'ERR_INVALID_VALUE'],
      [() => n.set('a', 1, { tll: 5 }), 'ERR_INVALID_OPTION'],
      [() => n.set('a', 1, { ttl: 0 }), 'ERR_INVALID_OPTION'],
      [() => n.set('a', 1, { ifVersion: undefined }), 'ERR_INVALID_OPTION'],
      [() => n.set('a', 1, { metadata: 5 }), 'ERR_INVALID_OPTION'],
      [() => n.setMany([['a', 1], ['', 2]]), 'ERR_INVALID_KEY'],
      [() => n.setMany([['a', 1], ['b', undefined]]), 'ERR_INVALID_VALUE'],
      [() => n.setMany({ a: 1 }, { ifVersion: 0 }), 'ERR_INVALID_OPTION'],
      [() => n.increment('a', '1'), 'ERR_INVALID_OPTION'],
      [() => n.increment('a', 1, { ttl: 5 }), 'ERR_INVALID_OPTION'],
      [() => n.delete('a', { prefix: 'x' }), 'ERR_INVALID_OPTION'],
      [() => n.deleteMany(['kept', '']), 'ERR_INVALID_KEY'],
      [() => n.clear('a'), 'ERR_INVALID_OPTION'],
      [() => n.getAll({ limit: -1 }), 'ERR_INVALID_OPTION'],
      [() => n.listKeys('a'), 'ERR_INVALID_OPTION']
    ]
    for (const [call, code] of cases) throwsCode(call, code)
  })
  assert.deepEqual(mine.getAll(), { kept: 1 })
})

test('a transaction takes 100 namespaces and refuses one more', (t) => {
  const { store, other } = setting(t)
  store.transaction((tx) => {
    for (let index = 0; index < 100; index++) tx.useNamespace(`n${index}`).increment('x')
    tx.useNamespace('n5').increment('x')
    throwsCode(() => tx.useNamespace('n100'), 'ERR_INVALID_OPTION', { message: /100 namespaces/ })
  })
  assert.equal(store.listNamespaces().length, 100)
  assert.equal(store.useNamespace('n5').get('x'), 2)
  // All are looked up again on a later snapshot, and are still as they were.
  store.transaction((tx) => {
    const views = Array.from({ length: 100 }, (_, index) => tx.useNamespace(`n${index}`))
    for (const n of views) n.get('x')
    other.useNamespace('n101').set('y', 1)
    for (let index = 0; index < 100; index++) other.useNamespace(`n${index}`).set('y', 1)
    store.has('anything')
    assert.deepEqual(views.map((n) => n.get('x')), views.map((n, index) => index === 5 ? 2 : 1))
  })
})

test('a transaction reads 100,000 keys one by one, but no more; listed keys do not count', (t) => {
  const { store } = setting(t)
  store.transaction((tx) => {
    const [n, m] = [tx.useNamespace('n'), tx.useNamespace('m')]
    for (let index = 0; index < 50_000; index++) n.has(`k${index}`)
    m.getMany(Array.from({ length: 50_000 }, (_, index) => `k${index}`))
    n.get('k1')
    const reads = [() => n.get('x'), () => m.has('x'), () => m.delete('x'),
      () => m.increment('x')]
    for (const read of reads) {
      throwsCode(read, 'ERR_INVALID_OPTION', { message: /read at most 100000 keys/ })
    }
    m.count()
    assert.equal(m.get('x'), undefined)
    assert.equal(n.get('x'), undefined)
  })
})

test('a transaction writes 100,000 keys and refuses one more', (t) => {
  const { store } = setting(t)
  store.transaction((tx) => {
    const [n, m] = [tx.useNamespace('n'), tx.useNamespace('m')]
    n.setMany(Array.from({ length: 99_998 }, (_, index) => [`k${index}`, index]))
    throwsCode(() => m.setMany({ a: 1, b: 2, c: 3 }), 'ERR_INVALID_OPTION', {
      message: /100000 keys/
    })
    assert.equal(m.count(), 0)
    m.setMany({ a: 1, b: 2 })
    m.setMany({ a: 3, b: 4 })
    m.set('a', 5)
    n.delete('k1')
    throwsCode(() => m.set('c', 1), 'ERR_INVALID_OPTION', { message: /100000 keys/ })
    throwsCode(() => m.increment('c'), 'ERR_INVALID_OPTION', { message: /100000 keys/ })
  })
  assert.equal(store.useNamespace('n').count(), 99_997)
  assert.equal(store.useNamespace('m').count(), 2)
})

test('a transaction writes 256 MiB and refuses one byte more', (t) => {
  const { store } = setting(t)
  const mine = new Error('rolled back')
  assert.throws(() => store.transaction((tx) => {
    const n = tx.useNamespace('n')
    const block = new Uint8Array(32 * 1024 * 1024)
    for (let index = 0; index < 7; index++) n.set(`k${index}`, block)
    // Each key has two bytes, and a large value has five before its own.
    const rest = 256 * 1024 * 1024 - 7 * (2 + 5 + block.length) - 2 - 5
    throwsCode(() => n.set('k7', new Uint8Array(rest + 1)), 'ERR_VALUE_TOO_LARGE', {
      message: /268435457 bytes, the limit is 268435456/
    })
    n.set('k7', new Uint8Array(rest))
    throwsCode(() => n.set('x', 1), 'ERR_VALUE_TOO_LARGE')
    n.delete('k7')
    n.set('x', 1)
    throw mine
  }), mine)
})
