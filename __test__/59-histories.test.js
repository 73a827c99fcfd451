'use strict'

// Several processes do random calls on few keys, some are killed; afterwards support/checker.js,
// which knows nothing of the store, looks for an order that explains all they saw.

const { before, test } = require('node:test')
const assert = require('node:assert/strict')
const { openStore } = require('..')
const { startAgent } = require('./support/agents')
const { check } = require('./support/checker')
const { generator, seededRandom } = require('./support/random')
const { temporaryStore } = require('./support/store')
const { weakenedPackage, without } = require('./support/weakened')

const KEYS = ['shared/a/1', 'shared/a/2', 'shared/b/1', 'shared/b/2', 'register/r/1',
  'register/r/2', 'counter/c/1']

/** Lets processes run, kills some of them and starts others, and returns the history. */
async function record (t, { processes, calls, kills = 0, args, options }) {
  const random = seededRandom(t)
  const store = temporaryStore(t)
  const clock = String(process.hrtime.bigint())
  const history = []
  let born = 0
  let killsLeft = kills
  const live = async () => {
    const name = `p${++born}`
    const seed = random.below(2 ** 32)
    // After how many lines it is killed: in the midst of whatever it does then.
    const killAt = killsLeft-- > 0 ? 1 + random.below(calls) : Infinity
    const agent = startAgent(t, 'history', { path: store.path, name, seed, clock, calls, ...args },
      options)
    let lines = 0
    for (let said = await agent.next(); said !== undefined; said = await agent.next()) {
      if ('call' in said) history.push(said)
      else Object.assign(ofId(history, said.id), said)
      if (++lines === killAt) agent.kill('SIGKILL')
    }
    const { code, signal, stderr } = await agent.exited
    if (signal === 'SIGKILL') return live()
    assert.equal(code, 0, stderr)
  }
  await Promise.all(Array.from({ length: processes }, live))
  return { calls: history, sharesCommits: args?.lanes !== undefined, ...finalState(store.path) }
}

const ofId = (history, id) => history.findLast((one) => one.id === id)

/** What is left in the end, and the version of each transaction that wrote. */
function finalState (path) {
  const store = openStore({ path })
  const entryOf = (key) => {
    const [kind, namespace, rest] = key.split('/')
    const entry = store.useNamespace(`${kind}/${namespace}`).getEntry(rest)
    return { value: entry?.value ?? null, version: entry?.version ?? 0 }
  }
  const markers = store.useNamespace('markers')
  const versions = markers.listKeys().map((id) => [id, markers.getEntry(id).version])
  const final = Object.fromEntries(KEYS.map((key) => [key, entryOf(key)]))
  store.close()
  return { final, markers: Object.fromEntries(versions) }
}

function describe (t, { calls, markers }) {
  const killed = calls.filter(({ end }) => end === undefined).length
  t.diagnostic(`${calls.length} calls, ${Object.keys(markers).length} transactions that wrote, ` +
    `${killed} calls cut off`)
}

test('six processes: one order explains all that they saw', async (t) => {
  const history = await record(t, { processes: 6, calls: 200 })
  describe(t, history)
  assert.deepEqual(check(history), [])
})

test('four processes, killed and replaced again and again: one order explains it', async (t) => {
  const history = await record(t, { processes: 4, calls: 150, kills: 20 })
  describe(t, history)
  assert.deepEqual(check(history), [])
})

test('three processes with five calls at once each: one order explains it', async (t) => {
  const history = await record(t, { processes: 3, calls: 80, args: { lanes: 5 } })
  describe(t, history)
  assert.deepEqual(check(history), [])
})

test('calls at once, with processes killed and replaced: one order explains it', async (t) => {
  const history = await record(t, { processes: 3, calls: 60, kills: 15, args: { lanes: 4 } })
  describe(t, history)
  assert.deepEqual(check(history), [])
})

// ---------------------------------------------------------------- that the checker can fail

let weakened
before((t) => { weakened = weakenedPackage(t) })

const RUNS = { 'one call': { calls: 300 }, 'five calls': { calls: 60, lanes: 5 } }

for (const name of ['key-versions', 'namespace-versions', 'extension', 'lost-update']) {
  for (const [many, { calls, lanes }] of Object.entries(RUNS)) {
    test(`a run of ${many} at a time without the check "${name}" is found out`, async (t) => {
      const args = { package: weakened, lanes }
      let violations = []
      // Chance may spare a run; only the time limit of the tests ends the search.
      while (violations.length === 0) {
        violations = check(await record(t, { processes: 5, calls, args, options: without(name) }))
      }
      t.diagnostic(`${violations.length} violations, such as ${violations[0]}`)
    })
  }
}

/** A history of calls that come one after another, but where times are given. */
function historyOf (calls, { markers = {}, final = {} } = {}) {
  const keys = calls.flatMap(({ call }) =>
    [call.key ?? [], call.reads ?? [], Object.keys(call.writes ?? {})].flat())
  const absent = keys.map((key) => [key, { value: null, version: 0 }])
  return {
    calls: calls.map((one, index) =>
      ({ id: `c${index}`, at: 10 * index, end: 10 * index + 5, ...one })),
    markers,
    final: { ...Object.fromEntries(absent), ...final }
  }
}

const X = 'shared/a/1'
const Y = 'shared/a/2'
const R = 'register/r/1'
const C = 'counter/c/1'
const set = (key, value, version, more) =>
  ({ call: { kind: 'set', key, value }, result: { version }, ...more })
const get = (key, value, more) => ({ call: { kind: 'get', key }, result: { value }, ...more })
const setIf = (key, value, expected, version) =>
  ({ call: { kind: 'setIf', key, value, expected }, result: { version } })
const deleteIf = (key, expected, more) =>
  ({ call: { kind: 'deleteIf', key, expected }, result: { deleted: true }, ...more })
const increment = (value, more) =>
  ({ call: { kind: 'increment', key: C }, result: { value }, ...more })
const transaction = (reads, writes, more) =>
  ({ call: { kind: 'transaction', reads: Object.keys(reads), writes }, result: { reads }, ...more })
const KILLED = { end: undefined, result: undefined }
const holds = (key, value, version) => ({ final: { [key]: { value, version } } })

const SOUND = {
  'a write and reads before and after': historyOf(
    [get(X, null), set(X, 'a', 5), get(X, 'a')], holds(X, 'a', 5)),
  'a read during a write sees either': historyOf([
    set(X, 'a', 5), set(X, 'b', 6, { at: 10, end: 100 }), get(X, 'b', { at: 20, end: 30 }),
    get(X, 'b', { at: 40, end: 50 })
  ], holds(X, 'b', 6)),
  'a killed write that happened': historyOf(
    [set(X, 'a', 5, KILLED), get(X, null), get(X, 'a')], holds(X, 'a', 5)),
  'a killed write that did not': historyOf([set(X, 'a', 5, KILLED), get(X, null)]),
  'a killed deletion that happened': historyOf(
    [set(R, 'a', 5), deleteIf(R, 5, KILLED), get(R, 'a'), get(R, null)]),
  'a killed deletion that did not': historyOf(
    [set(R, 'a', 5), deleteIf(R, 5, KILLED), get(R, 'a')], holds(R, 'a', 5)),
  'transactions one after another': historyOf([
    set(X, 'a', 1), transaction({ [X]: 'a', [Y]: null }, { [Y]: 'b' }),
    transaction({ [X]: 'a', [Y]: 'b' }, { [X]: null })
  ], { markers: { c1: 2, c2: 3 }, ...holds(Y, 'b', 2) }),
  'two writes that share a commit': {
    ...historyOf([set(X, 'a', 5, { end: 50 }), set(Y, 'b', 5)],
      { final: { [X]: { value: 'a', version: 5 }, [Y]: { value: 'b', version: 5 } } }),
    sharesCommits: true
  },
  increments: historyOf([increment(1), get(C, 1), increment(2, KILLED), increment(3)],
    holds(C, 3, 9))
}

const DOCTORED = {
  'a stale read': [/stale read/, historyOf(
    [set(X, 'a', 5), set(X, 'b', 6), get(X, 'a')], holds(X, 'b', 6))],
  'a stale read of an absent key': [/stale read/, historyOf([set(X, 'a', 5), get(X, null)],
    holds(X, 'a', 5))],
  'reads that go back': [/stale read/, historyOf([
    set(X, 'a', 5), set(X, 'b', 6, { at: 10, end: 100 }), get(X, 'b', { at: 20, end: 30 }),
    get(X, 'a', { at: 40, end: 50 })
  ], holds(X, 'b', 6))],
  'a read of what was not written yet': [/write before one that had ended/, historyOf(
    [get(X, 'a'), set(X, 'a', 5)], holds(X, 'a', 5))],
  'a value out of nowhere': [/nobody wrote/, historyOf([get(X, 'a')])],
  'an acknowledged write that is gone': [/stale read/, historyOf([set(X, 'a', 5)])],
  'versions against the order of time': [/write before one that had ended/, historyOf(
    [set(X, 'a', 6), set(X, 'b', 5)], holds(X, 'a', 6))],
  'one version for two writes': [/one version/, historyOf([set(X, 'a', 5), set(Y, 'b', 5)],
    { final: { [X]: { value: 'a', version: 5 }, [Y]: { value: 'b', version: 5 } } })],
  'one version for two writes of a key, also where commits are shared': [/one version/, {
    ...historyOf([set(X, 'a', 5), set(X, 'b', 5)], holds(X, 'b', 5)), sharesCommits: true
  }],
  'ifVersion over another version': [/out of date/, historyOf(
    [set(X, 'a', 5), set(X, 'b', 6), setIf(X, 'c', 5, 7)], holds(X, 'c', 7))],
  'a deleted entry read again': [/stale read/, historyOf(
    [set(R, 'a', 5), deleteIf(R, 5), get(R, 'a')])],
  'an entry deleted twice': [/deleted twice/, historyOf(
    [set(R, 'a', 5), deleteIf(R, 5), deleteIf(R, 5)])],
  'a lost increment': [/one sum/, historyOf(
    [increment(1), increment(2, { at: 10, end: 30 }), increment(2, { at: 11, end: 29 })],
    holds(C, 2, 9))],
  'an invented increment': [/lost or invented/, historyOf([increment(1)], holds(C, 2, 9))],
  'increments out of order': [/write before one that had ended/, historyOf(
    [increment(2), increment(1)], holds(C, 2, 9))],
  'a lost update by transactions': [/out of date/, historyOf([
    set(X, 'a', 1), transaction({ [X]: 'a' }, { [X]: 'b' }, { at: 10, end: 50 }),
    transaction({ [X]: 'a' }, { [X]: 'c' }, { at: 11, end: 51 })
  ], { markers: { c1: 2, c2: 3 }, ...holds(X, 'c', 3) })],
  'a write skew': [/out of date/, historyOf([
    transaction({ [Y]: null }, { [X]: 'a' }, { at: 10, end: 50 }),
    transaction({ [X]: null }, { [Y]: 'b' }, { at: 11, end: 51 })
  ], {
    markers: { c0: 1, c1: 2 },
    final: { [X]: { value: 'a', version: 1 }, [Y]: { value: 'b', version: 2 } }
  })],
  'a torn read': [/never true together/, historyOf([
    transaction({}, { [X]: 'a', [Y]: 'b' }), transaction({ [X]: 'a', [Y]: null }, {})
  ], {
    markers: { c0: 1 },
    final: { [X]: { value: 'a', version: 1 }, [Y]: { value: 'b', version: 1 } }
  })],
  'a transaction without a trace': [/no trace/, historyOf([transaction({}, { [X]: 'a' })])]
}

for (const [name, history] of Object.entries(SOUND)) {
  test(`the checker accepts ${name}`, () => assert.deepEqual(check(history), []))
}

for (const [name, [complaint, history]] of Object.entries(DOCTORED)) {
  test(`the checker rejects ${name}`, () => {
    const violations = check(history)
    assert.ok(violations.some((violation) => complaint.test(violation)), violations.join('\n'))
  })
}

test('the checker rejects a real history in which one read is changed', async (t) => {
  const history = await record(t, { processes: 3, calls: 60 })
  assert.deepEqual(check(history), [])
  const random = generator(1)
  const reads = history.calls.filter(({ call, result }) =>
    call.kind === 'entry' && call.key.startsWith('shared') && result.value !== null)
  let found = 0
  for (let round = 0; round < 20; round++) {
    const doctored = structuredClone(history)
    const { id } = random.pick(reads)
    const read = ofId(doctored.calls, id)
    const other = random.pick(reads.filter(({ call, result }) =>
      call.key === read.call.key && result.value !== read.result.value))
    if (other === undefined || Math.abs(other.at - read.at) < 50_000_000) continue
    read.result = other.result
    assert.notDeepEqual(check(doctored), [], `${read.id} with the result of ${other.id}`)
    found += 1
  }
  assert.ok(found > 0)
})
