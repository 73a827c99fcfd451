'use strict'

// Watching within one process. What several processes do to one another is in
// 49-watch-processes.test.js. No test sleeps: each waits for the change it is about.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { getEventListeners, once } = require('node:events')
const fs = require('node:fs')
const path = require('node:path')
const { Worker } = require('node:worker_threads')
const { openStore } = require('..')
const { rejectsCode, temporaryDirectory, temporaryStore, throwsCode } =
  require('./support/store')
const { seededRandom } = require('./support/random')
const { brief, fold, take, takeUntil } = require('./support/watching')

const generous = { timeout: 120_000 }
const script = path.join(__dirname, 'agents', 'waiting-worker.js')
const isEnd = ({ key }) => key === 'end'

/** The changes that a watcher has to tell until `end` is set, which comes now. */
function untilEnd (namespace, watcher) {
  namespace.set('end', true)
  return takeUntil(watcher, isEnd)
}

/** Writes until the history of a store with a small one has been trimmed of what there is now. */
function outgrowHistory (namespace) {
  const keys = Array.from({ length: 2000 }, (_, n) => `a key of some length, number ${n}`)
  for (let n = 0; n < 4; n++) namespace.setMany(keys.map((key) => [key, n]))
}

const smallHistory = { history: { maxBytes: 65_536 } }

// ---------------------------------------------------------------- what is told

test('every type of change has exactly its own fields', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  const watcher = namespace.watch()
  const set = namespace.set('key', { a: 1 })
  assert.deepEqual(await take(watcher, 1), [
    { type: 'set', namespace: 'n', key: 'key', version: set, last: true, value: { a: 1 } }
  ])
  namespace.delete('key')
  assert.deepEqual(await take(watcher, 1), [
    { type: 'delete', namespace: 'n', key: 'key', version: set + 1, last: true }
  ])
  namespace.setMany({ 'p:1': 1, 'p:2': 2, q: 3 })
  await take(watcher, 3)
  namespace.clear({ prefix: 'p:' })
  assert.deepEqual(await take(watcher, 1), [
    { type: 'clear', namespace: 'n', prefix: 'p:', version: set + 3, last: true }
  ])
  namespace.clear()
  assert.deepEqual(await take(watcher, 1), [
    { type: 'clear', namespace: 'n', version: set + 4, last: true }
  ])
  const short = namespace.set('short', 1, { ttl: 200 })
  await take(watcher, 1)
  const [{ version, ...expire }] = await take(watcher, 1)
  assert.deepEqual(expire, { type: 'expire', namespace: 'n', key: 'short', last: true })
  assert.ok(version > short)
  const [reset] = await take(namespace.watch({ since: version + 1 }), 1)
  assert.deepEqual(reset, { type: 'reset', version, last: false })
})

test('every way to write is told, and nothing that changes nothing', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  const watcher = namespace.watch()
  namespace.set('a', 1)
  namespace.setMany([['b', 1], ['c', 1], ['b', 2]])
  namespace.update('d', () => 5)
  namespace.increment('e', 2)
  namespace.update('d', () => undefined)
  namespace.delete('nothing')
  namespace.deleteMany(['b', 'nothing', 'c'])
  namespace.clear({ prefix: 'nothing' })
  throwsCode(() => namespace.set('a', 2, { ifVersion: 1 }), 'ERR_CONFLICT')
  throwsCode(() => namespace.setMany([['x', 1], ['y', () => {}]]), 'ERR_INVALID_VALUE')
  assert.deepEqual(brief(await untilEnd(namespace, watcher)), [
    'set a=1!', 'set e=2!', 'delete d!', 'delete b', 'delete c!', 'set end=true!'
  ])
})

test('a key, a prefix, a namespace, a store each tell exactly their own', generous, async (t) => {
  const store = temporaryStore(t)
  const [n, nn, other] = ['n', 'nn', 'other'].map((name) => store.useNamespace(name))
  const watchers = {
    key: n.watch({ key: 'a:1' }),
    longer: n.watch({ key: 'a:12' }),
    prefix: n.watch({ prefix: 'a:' }),
    all: n.watch(),
    empty: n.watch({ prefix: '' }),
    namespaces: store.watch({ prefix: 'n' }),
    store: store.watch()
  }
  n.setMany({ 'a:1': 1, 'b:1': 1 })
  nn.set('a:1', 'nn')
  other.set('a:1', 'other')
  n.delete('b:1')
  n.clear({ prefix: 'a:1' })
  n.set('c', 1)
  n.clear({ prefix: 'c' })
  n.set('c', 1)
  n.clear()
  // One more that matters to all, to see that nothing came before it that should not.
  n.setMany({ 'a:1': 'end', 'a:12': 'end' })
  const told = {}
  for (const [name, watcher] of Object.entries(watchers)) {
    told[name] = await takeUntil(watcher, ({ value, last }) => value === 'end' && last)
  }
  const clears = ['clear a:1*!', 'clear !']
  assert.deepEqual(brief(told.key), [...clears, 'set a:1="end"!'])
  assert.deepEqual(brief(told.longer), [...clears, 'set a:12="end"!'])
  const ends = ['set a:1="end"', 'set a:12="end"!']
  assert.deepEqual(brief(told.prefix), [...clears, ...ends])
  const all = ['delete b:1!', 'clear a:1*!', 'clear c*!', 'clear !', ...ends]
  assert.deepEqual(brief(told.all), all)
  assert.deepEqual(told.empty, told.all)
  assert.deepEqual(brief(told.namespaces), ['set a:1="nn"!', ...all])
  assert.deepEqual(brief(told.store), ['set a:1="nn"!', 'set a:1="other"!', ...all])
  assert.equal(told.store[1].namespace, 'other')
})

test('the state comes in the order of versions, as of the call', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  namespace.set('z', 1)
  namespace.setMany({ c: 1, a: 1, b: 1 })
  namespace.set('y', 1)
  namespace.set('b', 2)
  namespace.set('gone', 1)
  const watcher = namespace.watch()
  // After the call, and before the first next().
  namespace.set('a', 'later')
  namespace.delete('gone')
  namespace.set('new', 1)
  const told = await untilEnd(namespace, watcher)
  assert.deepEqual(brief(told), [
    'set z=1!', 'set c=1!', 'set y=1!', 'set b=2!',
    'set a="later"!', 'delete gone!', 'set new=1!', 'set end=true!'
  ])
  const versions = told.map(({ version }) => version)
  assert.deepEqual(versions, [...versions].sort((a, b) => a - b))
})

test('last marks the final told change of a commit of any size', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  const watcher = namespace.watch()
  // Beyond a chunk's 256 changes, and beyond its 64 KiB.
  const keys = Array.from({ length: 3000 }, (_, n) => `key ${String(n).padStart(4, '0')}`)
  for (const value of [1, 'v'.repeat(500)]) {
    namespace.setMany(keys.map((key) => [key, value]))
    const told = await take(watcher, 3000)
    assert.deepEqual(told.map(({ key }) => key), keys)
    assert.deepEqual(told.filter(({ last }) => last), [told.at(-1)])
  }
  // What would have been the last ones is replaced before it is told.
  namespace.setMany(keys.map((key) => [key, 2]))
  namespace.setMany(keys.slice(1000).map((key) => [key, 3]))
  const told = await take(watcher, 3000)
  assert.deepEqual(told.map(({ value }) => value), keys.map((_, n) => n < 1000 ? 2 : 3))
  assert.deepEqual(told.filter(({ last }) => last), [told[999], told[2999]])
})

test('values of several megabytes come whole and in order', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  const large = (n) => Buffer.alloc(5_000_000 + n, n)
  namespace.set('0', large(0))
  const watcher = namespace.watch()
  namespace.setMany({ 1: large(1), 2: large(2), small: 1 })
  namespace.set('3', large(3))
  const told = await untilEnd(namespace, watcher)
  assert.deepEqual(told.map(({ key }) => key), ['0', '1', '2', 'small', '3', 'end'])
  for (const n of [0, 1, 2, 3]) {
    assert.ok(told.find(({ key }) => key === String(n)).value.equals(large(n)), `value ${n}`)
  }
})

test('a state of 130,000 keys is told whole, in the order of versions', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  // The order of keys is not that of versions.
  const keyOf = (n) => `${(n * 7919) % 130_000} is the key`
  for (let from = 0; from < 130_000; from += 10_000) {
    namespace.setMany(Array.from({ length: 10_000 }, (_, n) => [keyOf(from + n), from + n]))
  }
  for (const watcher of [namespace.watch(), store.watch()]) {
    const told = await take(watcher, 130_000)
    assert.equal(new Set(told.map(({ key }) => key)).size, 130_000)
    assert.ok(told.every(({ key, value }) => key === keyOf(value)))
    const before = told.slice(0, -1)
    assert.ok(before.every(({ version, last }, n) =>
      version < told[n + 1].version ? last : version === told[n + 1].version && !last))
    assert.equal(told.at(-1).last, true)
    namespace.set(keyOf(129_999), 129_999)
    assert.equal((await take(watcher, 1))[0].key, keyOf(129_999))
    await watcher.return()
  }
})

test('names, keys and values of every kind arrive as they were written', generous, async (t) => {
  const store = temporaryStore(t)
  const watcher = store.watch()
  const name = 'n'.repeat(512)
  const keys = ['k'.repeat(1978), '\u0000', '__proto__', '\u{1F600}', 'constructor']
  const values = [new Map([[1, new Set([2])]]), { __proto__: null, then: 1 }, 2n ** 70n, null, []]
  keys.forEach((key, n) => store.useNamespace(name).set(key, values[n]))
  const told = await take(watcher, keys.length)
  assert.deepEqual(told.map(({ key }) => key), keys)
  assert.deepEqual(told.map(({ namespace }) => namespace), keys.map(() => name))
  told.forEach(({ key, value }) => assert.deepEqual(value, store.useNamespace(name).get(key)))
})

// ---------------------------------------------------------------- expiry

test('an expiry is told when its time has come, and not before', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  const watcher = namespace.watch()
  for (const ttl of [1, 30, 700, 1100]) {
    namespace.set('key', ttl, { ttl })
    const expiresAt = namespace.getEntry('key')?.expiresAt ?? 0
    const told = await takeUntil(watcher, ({ type }) => type === 'expire')
    const lateMs = Date.now() - expiresAt
    assert.ok(lateMs >= 0, `told ${-lateMs} ms before its time`)
    // Promised is a second. The rest is for a machine that is busy with other things.
    assert.ok(expiresAt === 0 || lateMs < 1000 + 4000, `told ${lateMs} ms after its time`)
    assert.equal(told.at(-1).key, 'key')
    assert.equal(namespace.has('key'), false)
  }
})

test('a set over an expired entry tells the expiry first', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  for (const how of ['set', 'increment', 'update', 'setMany']) {
    const watcher = namespace.watch({ key: how })
    namespace.set(how, 1, { ttl: 1 })
    while (namespace.has(how));
    // Nobody has swept it yet, unless this thread was held up for a second.
    if (how === 'setMany') namespace.setMany([[how, 3], [how, 2]])
    else if (how === 'update') namespace.update(how, (value = 0) => value + 2)
    else if (how === 'increment') namespace.increment(how, 2)
    else namespace.set(how, 2)
    const [expire, set] = await take(watcher, 2)
    assert.deepEqual([expire.type, set.type, set.value], ['expire', 'set', 2])
    assert.ok(expire.version <= set.version)
    assert.equal(expire.last, expire.version < set.version)
    assert.equal(set.last, true)
  }
})

test('a delete of what has expired tells an expiry, once', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  const watcher = namespace.watch()
  namespace.set('key', 1, { ttl: 1 })
  while (namespace.has('key'));
  assert.equal(namespace.delete('key'), false)
  const told = await takeUntil(watcher, ({ type }) => type !== 'set')
  assert.equal(told.at(-1).type, 'expire')
  assert.deepEqual(brief(await untilEnd(namespace, watcher)), ['set end=true!'])
})

// ---------------------------------------------------------------- resuming

test('since tells what came after that commit, and nothing else', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  const first = namespace.set('a', 1)
  namespace.setMany({ b: 1, c: 1 })
  const third = namespace.set('d', 1)
  const told = async (since) => brief(await untilEnd(namespace, namespace.watch({ since })))
  assert.deepEqual(await told(first), ['set b=1', 'set c=1!', 'set d=1!', 'set end=true!'])
  assert.deepEqual(await told(0), ['set a=1!', 'set b=1', 'set c=1!', 'set d=1!', 'set end=true!'])
  assert.deepEqual((await told(third)).slice(-1), ['set end=true!'])
  const newest = namespace.getEntry('end').version
  assert.deepEqual(await told(newest), ['set end=true!'])
})

test('from any version a watcher told, it can resume to the same state', generous, async (t) => {
  const random = seededRandom(t)
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  const key = () => `${random.pick(['a', 'b', 'c'])}${random.below(8)}`
  const writes = [
    () => namespace.set(key(), random.next()),
    () => namespace.set(key(), random.next(), { ttl: 1 + random.below(3) }),
    () => namespace.setMany(Array.from({ length: random.below(40) }, () => [key(), random.next()])),
    () => namespace.delete(key()),
    () => namespace.deleteMany([key(), key(), key()]),
    () => namespace.increment('sum'),
    () => namespace.clear({ prefix: random.pick(['a', 'b1', 'none']) }),
    () => store.useNamespace('other').set(key(), 1)
  ]
  const live = namespace.watch()
  const log = []
  for (let n = 0; n < 600; n++) {
    random.pick(writes)()
    if (n % 3 === 0) log.push(...await untilEnd(namespace, live))
  }
  namespace.clear()
  for (let n = 0; n < 60; n++) random.pick([writes[0], writes[2], writes[3]])()
  log.push(...await untilEnd(namespace, live))
  const final = namespace.getAll()
  assert.deepEqual(fold(log), final)
  checkOrder(log)
  // From the log of a live watcher, and from the middle of the state that a new one is told.
  const state = await takeUntil(namespace.watch(), isEnd)
  assert.deepEqual(fold(state), final)
  for (const told of [log, state]) {
    const places = [...told.keys()].filter((n) => told[n].last)
    for (let n = 0; n < 60; n++) {
      const place = random.pick(places)
      const before = fold(told.slice(0, place + 1))
      const { version } = told[place]
      const rest = namespace.watch({ since: version })
      const after = place === told.length - 1
        ? []
        : await takeUntil(rest, ({ version, last }) => version === told.at(-1).version && last)
      assert.ok(after.every((change) => change.version > version), `since ${version}`)
      assert.ok(after.every(({ type }) => type !== 'reset'))
      checkOrder(after)
      assert.deepEqual(fold(after, before), final, `since ${version}, ${place} of ${told.length}`)
      await rest.return()
    }
  }
})

/** Versions never go back, and `last` stands where they go on. */
function checkOrder (changes) {
  for (let n = 1; n < changes.length; n++) {
    const [before, after] = [changes[n - 1], changes[n]]
    assert.ok(before.version <= after.version)
    assert.equal(before.last, before.version < after.version, `at version ${before.version}`)
  }
}

test('a version that the history does not reach back to gives a reset', generous, async (t) => {
  const namespace = temporaryStore(t, smallHistory).useNamespace('n')
  const first = namespace.set('first', 1)
  const second = namespace.set('second', 1)
  assert.deepEqual(brief(await take(namespace.watch({ since: first }), 1)), ['set second=1!'])
  outgrowHistory(namespace)
  for (const since of [0, first, second]) {
    const watcher = namespace.watch({ since })
    const told = await untilEnd(namespace, watcher)
    const { version } = told.at(-1)
    assert.deepEqual(told[0], { type: 'reset', version, last: false })
    assert.deepEqual(brief(told.slice(1, 3)), ['set first=1!', 'set second=1!'])
    assert.equal(told.filter(({ type }) => type === 'reset').length, 1)
    assert.deepEqual(fold(told), namespace.getAll())
    await watcher.return()
    namespace.delete('end')
  }
  const since = namespace.set('newest', 1)
  assert.deepEqual(brief(await untilEnd(namespace, namespace.watch({ since }))), ['set end=true!'])
})

test('the history is kept by age, too', generous, async (t) => {
  const namespace = temporaryStore(t, { history: { maxAge: 1 } }).useNamespace('n')
  const since = namespace.set('key', 0)
  // It is trimmed by one commit in sixteen.
  let told
  do {
    for (let n = 0; n < 20; n++) namespace.set('key', n)
    const watcher = namespace.watch({ since })
    told = await take(watcher, 1)
    await watcher.return()
  } while (told[0].type !== 'reset')
})

test('a version of the future gives a reset', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  const key = namespace.set('key', 1)
  for (const ahead of [1, 2 ** 40]) {
    const version = namespace.set('other', ahead)
    const watcher = namespace.watch({ since: version + ahead })
    const fields = { type: 'set', namespace: 'n', last: true }
    assert.deepEqual(await take(watcher, 3), [
      { type: 'reset', version, last: false },
      { ...fields, key: 'key', version: key, value: 1 },
      { ...fields, key: 'other', version, value: ahead }
    ])
    namespace.set('next', 1)
    assert.deepEqual(brief(await take(watcher, 1)), ['set next=1!'])
    namespace.delete('next')
    await watcher.return()
  }
})

test('a version from before a restored backup gives a reset', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  const before = namespace.set('key', 'in the backup')
  for (const compact of [false, true]) {
    const directory = path.join(temporaryDirectory(t), 'backup')
    await store.backup(directory, { compact })
    const after = namespace.set('key', 'not in the backup')
    const restored = openStore(directory)
    t.after(() => restored.close())
    for (const since of [0, before, after, after + 1000]) {
      const watcher = restored.useNamespace('n').watch({ since })
      const told = await take(watcher, 2)
      assert.deepEqual(brief(told), ['reset ', 'set key="in the backup"!'])
      assert.ok(told[0].version > after)
      await watcher.return()
    }
    const since = restored.useNamespace('n').set('key', 'restored')
    restored.useNamespace('n').set('key', 'again')
    const told = await take(restored.useNamespace('n').watch({ since }), 1)
    assert.deepEqual(brief(told), ['set key="again"!'])
    namespace.set('key', 'in the backup')
  }
})

// ---------------------------------------------------------------- slow and fast

test('a slow reader skips values, and is told the last state', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  const slow = namespace.watch()
  const fast = namespace.watch()
  const toldFast = []
  namespace.set('first', 0)
  const toldSlow = await take(slow, 1)
  for (let n = 0; n < 1000; n++) {
    namespace.set(`key ${n % 10}`, n)
    toldFast.push(...await take(fast, n === 0 ? 2 : 1))
  }
  toldFast.push(...await untilEnd(namespace, fast))
  toldSlow.push(...await takeUntil(slow, isEnd))
  assert.equal(toldFast.length, 1002)
  assert.equal(toldSlow.length, 12)
  assert.deepEqual(fold(toldFast), namespace.getAll())
  assert.deepEqual(fold(toldSlow), namespace.getAll())
})

test('a reader that the history was trimmed past is reset', generous, async (t) => {
  const namespace = temporaryStore(t, smallHistory).useNamespace('n')
  const reading = namespace.watch()
  const waiting = namespace.watch({ key: 'key' })
  const pending = waiting.next()
  namespace.set('key', 0)
  assert.equal((await reading.next()).value.value, 0)
  await pending
  for (let n = 0; n < 5; n++) {
    namespace.set('deleted', n)
    namespace.delete('deleted')
    outgrowHistory(namespace)
    const last = namespace.set('key', n)
    for (const watcher of [reading, waiting]) {
      const told = await takeUntil(watcher, ({ key, version }) => key && version === last)
      assert.equal(told[0].type, 'reset')
      assert.equal(told.filter(({ type }) => type === 'reset').length, 1)
      const { key, ...others } = namespace.getAll()
      assert.deepEqual(fold(told), watcher === reading ? { key, ...others } : { key })
    }
  }
})

test('a state that takes longer to read than the history is kept ends whole', generous,
  async (t) => {
    const namespace = temporaryStore(t, smallHistory).useNamespace('n')
    namespace.setMany(Array.from({ length: 300 }, (_, n) => [`key ${n}`, 'v'.repeat(1000)]))
    const watcher = namespace.watch()
    const told = await take(watcher, 100)
    namespace.delete('key 5')
    outgrowHistory(namespace)
    told.push(...await untilEnd(namespace, watcher))
    assert.equal(told.filter(({ type }) => type === 'reset').length, 1)
    assert.deepEqual(fold(told), namespace.getAll())
  })

test('several next() at once are answered in order', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  namespace.set('key 0', 0)
  const watcher = namespace.watch()
  const results = Array.from({ length: 6 }, () => watcher.next())
  for (let n = 1; n < 5; n++) namespace.set(`key ${n}`, n)
  const told = await Promise.all(results.slice(0, 5))
  assert.deepEqual(told.map(({ value }) => value.key), [0, 1, 2, 3, 4].map((n) => `key ${n}`))
  assert.ok(told.every(({ done }) => !done))
  await watcher.return()
  assert.deepEqual(await results[5], { value: undefined, done: true })
})

// ---------------------------------------------------------------- the end

test('return ends a watcher, also one that waits', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  namespace.set('key', 1)
  const watcher = namespace.watch()
  assert.equal(watcher[Symbol.asyncIterator](), watcher)
  await watcher.next()
  const pending = [watcher.next(), watcher.next()]
  assert.deepEqual(await watcher.return('value'), { value: 'value', done: true })
  const end = { value: undefined, done: true }
  assert.deepEqual(await Promise.all(pending), [end, end])
  assert.deepEqual(await watcher.next(), end)
  assert.deepEqual(await watcher.return(), end)
  const unread = namespace.watch()
  await unread.return()
  assert.deepEqual(await unread.next(), end)
})

test('break and throw end a watcher', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  namespace.setMany({ a: 1, b: 2 })
  const broken = namespace.watch()
  for await (const { key } of broken) if (key === 'a') break
  assert.equal((await broken.next()).done, true)
  const thrown = namespace.watch()
  await assert.rejects(async () => {
    for await (const { key } of thrown) if (key === 'b') throw new Error(key)
  }, /^Error: b$/)
  assert.equal((await thrown.next()).done, true)
})

test('a signal ends loops, whenever it aborts, and keeps no listener', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  namespace.set('key', 1)
  const early = AbortSignal.abort()
  for await (const change of namespace.watch({ signal: early })) assert.fail(change.key)
  for await (const change of store.watch({ signal: early })) assert.fail(change.key)
  const controller = new AbortController()
  const { signal } = controller
  const keys = []
  for await (const { key } of namespace.watch({ signal })) {
    keys.push(key)
    controller.abort()
  }
  assert.deepEqual(keys, ['key'])
  const second = new AbortController()
  const waiting = namespace.watch({ signal: second.signal, since: 1e6 })
  await take(waiting, 2)
  const pending = waiting.next()
  second.abort()
  assert.equal((await pending).done, true)
  const third = new AbortController()
  const returned = namespace.watch({ signal: third.signal })
  await returned.return()
  for (const one of [early, signal, second.signal, third.signal]) {
    assert.equal(getEventListeners(one, 'abort').length, 0)
  }
})

test('a thousand watchers on one signal warn nobody', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  const warnings = []
  const note = (warning) => warnings.push(warning)
  process.on('warning', note)
  t.after(() => process.off('warning', note))
  const controller = new AbortController()
  const { signal } = controller
  const watchers = Array.from({ length: 1000 }, (_, n) => namespace.watch({ key: `${n}`, signal }))
  const ends = watchers.map((watcher) => watcher.next())
  controller.abort()
  assert.ok((await Promise.all(ends)).every(({ done }) => done))
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(warnings, [])
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})

test('closing a store ends its own loops normally, and no others', generous, async (t) => {
  const store = temporaryStore(t)
  const other = openStore(store.path)
  const watchers = [other.watch(), other.useNamespace('n').watch(), other.useNamespace('n').watch()]
  const survivor = store.watch()
  const [pending, alive] = [watchers[0].next(), survivor.next()]
  const loop = (async () => {
    for await (const change of watchers[1]) assert.fail(change.key)
    return 'over'
  })()
  const namespace = other.useNamespace('n')
  other.close()
  assert.equal((await pending).done, true)
  assert.equal(await loop, 'over')
  assert.equal((await watchers[2].next()).done, true)
  throwsCode(() => other.watch(), 'ERR_CLOSED')
  throwsCode(() => namespace.watch(), 'ERR_CLOSED')
  store.set('key', 1)
  assert.equal((await alive).value.key, 'key')
  const last = survivor.next()
  store.close()
  assert.equal((await last).done, true)
})

test('damage ends a loop with its error, after what came before it', generous, async (t) => {
  const directory = path.join(temporaryDirectory(t), 'store')
  const damaged = 'what will be damaged'
  const before = openStore(directory)
  before.useNamespace('n').set('a', 1)
  before.useNamespace('n').setMany({ b: 2, c: damaged, d: 4 })
  before.close()
  const file = path.join(directory, 'data.mdb')
  const bytes = fs.readFileSync(file)
  // Older copies of the page have it too.
  for (let at = 0; (at = bytes.indexOf(damaged, at)) !== -1; at++) bytes[at] ^= 1
  fs.writeFileSync(file, bytes)
  const store = openStore(directory)
  t.after(() => store.close())
  const namespace = store.useNamespace('n')
  for (const watcher of [namespace.watch(), namespace.watch({ since: 0 }), store.watch()]) {
    const results = await Promise.allSettled(Array.from({ length: 4 }, () => watcher.next()))
    const told = results.map(({ value, reason }) => reason?.code ?? value.value?.key)
    assert.deepEqual(told, ['a', 'ERR_CORRUPT', undefined, undefined])
    assert.equal((await watcher.next()).done, true)
  }
  await rejectsCode(namespace.waitFor('c'), 'ERR_CORRUPT')
})

test('watchers that are forgotten do not disturb', generous, async (t) => {
  const namespace = temporaryStore(t).useNamespace('n')
  for (let round = 0; round < 2000; round++) {
    const watcher = namespace.watch({ key: `key ${round % 7}` })
    if (round % 2 === 0) watcher.next()
  }
  const watcher = namespace.watch()
  namespace.setMany({ 'key 0': 1, 'key 5': 1 })
  assert.deepEqual(brief(await take(watcher, 2)), ['set key 0=1', 'set key 5=1!'])
})

test('a worker terminated in the middle of watching hurts nobody', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  const watcher = namespace.watch()
  for (let round = 0; round < 30; round++) {
    const workerData = { task: 'watch without end', path: store.path }
    const worker = new Worker(script, { workerData })
    await once(worker, 'message')
    // Changes stream in while it ends.
    for (let n = 0; n < 20; n++) namespace.set(`key ${n}`, round)
    const terminated = worker.terminate()
    for (let n = 0; n < 20; n++) namespace.set(`key ${n}`, round)
    await terminated
    const told = await takeUntil(watcher, ({ key }) => key === 'key 19')
    assert.equal(told.at(-1).value, round)
  }
})

// ---------------------------------------------------------------- bad input

test('bad options throw at once, and name what is wrong', (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  const cases = [
    [namespace, null, 'ERR_INVALID_OPTION', TypeError],
    [namespace, [], 'ERR_INVALID_OPTION', TypeError],
    [namespace, 'key:', 'ERR_INVALID_OPTION', TypeError, /did you mean \{ prefix: "key:" \}/],
    [namespace, { keys: 'a' }, 'ERR_INVALID_OPTION', TypeError, /did you mean key/],
    [namespace, { sinse: 5 }, 'ERR_INVALID_OPTION', TypeError, /did you mean since/],
    [namespace, { key: 'a', prefix: 'a' }, 'ERR_INVALID_OPTION', TypeError, /not both/],
    [namespace, { key: 'a', prefix: '' }, 'ERR_INVALID_OPTION', TypeError, /not both/],
    [namespace, { key: 5 }, 'ERR_INVALID_KEY', TypeError],
    [namespace, { key: null }, 'ERR_INVALID_KEY', TypeError],
    [namespace, { key: '' }, 'ERR_INVALID_KEY', Error],
    [namespace, { key: '\ud800' }, 'ERR_INVALID_KEY', Error],
    [namespace, { key: 'k'.repeat(1979) }, 'ERR_KEY_TOO_LONG', Error],
    [store, { key: 'a' }, 'ERR_INVALID_OPTION', TypeError]
  ]
  for (const target of [namespace, store]) {
    cases.push(
      [target, { prefix: 5 }, 'ERR_INVALID_OPTION', TypeError, /prefix/],
      [target, { prefix: null }, 'ERR_INVALID_OPTION', TypeError, /prefix/],
      [target, { prefix: '\udc00' }, 'ERR_INVALID_OPTION', Error, /surrogate/],
      [target, { since: '5' }, 'ERR_INVALID_OPTION', TypeError, /since/],
      [target, { since: 5n }, 'ERR_INVALID_OPTION', TypeError, /since/],
      [target, { since: null }, 'ERR_INVALID_OPTION', TypeError, /since/],
      [target, { since: -1 }, 'ERR_INVALID_OPTION', RangeError, /since/],
      [target, { since: 1.5 }, 'ERR_INVALID_OPTION', RangeError, /since/],
      [target, { since: NaN }, 'ERR_INVALID_OPTION', RangeError, /since/],
      [target, { since: 2 ** 53 }, 'ERR_INVALID_OPTION', RangeError, /since/],
      [target, { signal: {} }, 'ERR_INVALID_OPTION', TypeError, /AbortSignal/],
      [target, { signal: null }, 'ERR_INVALID_OPTION', TypeError, /AbortSignal/],
      [target, { signal: true }, 'ERR_INVALID_OPTION', TypeError, /AbortSignal/]
    )
  }
  for (const [target, options, code, type, message] of cases) {
    throwsCode(() => target.watch(options), code, { type, message })
  }
})

test('bad sizes and ages of the history are refused', (t) => {
  const directory = path.join(temporaryDirectory(t), 'store')
  for (const [history, type] of [
    [null, TypeError],
    [5, TypeError],
    [{ maxByte: 65_536 }, TypeError],
    [{ maxBytes: '65536' }, TypeError],
    [{ maxBytes: 65_535 }, RangeError],
    [{ maxBytes: 65_536.5 }, RangeError],
    [{ maxBytes: Infinity }, RangeError],
    [{ maxAge: 0 }, RangeError],
    [{ maxAge: -1 }, RangeError],
    [{ maxAge: '1' }, TypeError]
  ]) {
    throwsCode(() => openStore({ path: directory, history }), 'ERR_INVALID_OPTION', { type })
  }
  openStore({ path: directory, history: { maxBytes: 65_536, maxAge: 1 } }).close()
})

test('a loop over a long history lets other events come between its changes', async (t) => {
  const namespace = temporaryStore(t).useNamespace('test')
  namespace.setMany(Array.from({ length: 10_000 }, (_, n) => [`key ${n}`, n]))
  const controller = new AbortController()
  setImmediate(() => controller.abort())
  let told = 0
  for await (const change of namespace.watch({ since: 0, signal: controller.signal })) {
    assert.equal(change.type, 'set')
    told += 1
  }
  assert.ok(told > 0 && told < 10_000, `${told} changes`)
})
