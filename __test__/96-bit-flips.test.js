'use strict'

// LMDB has no checksums, so the store has its own: whichever bit of the data file flips, a read
// gives the right value, nothing, or an error, never a wrong value. A damaged page may also crash
// the process that reads it, so the reading is done by an agent of its own.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('..')
const { temporaryDirectory, throwsCode } = require('./support/store')
const { seededRandom } = require('./support/random')
const { startAgent } = require('./support/agents')

const namespaces = ['files', 'summaries', 'status']

/** What is stored under a key; the same key differs between namespaces. */
const valueOf = (namespace, n) => ({
  namespace,
  n,
  text: `${namespace} ${n} `.repeat(n % 17 === 0 ? 500 : n % 13),
  list: [n, n / 7, String(n)]
})

/** A closed store with known content. */
function sample (t) {
  const directory = path.join(temporaryDirectory(t), 'store')
  const store = openStore(directory)
  const expected = {}
  for (const namespace of namespaces) {
    const entries = Array.from({ length: 300 }, (_, n) => [`key ${n}`, valueOf(namespace, n)])
    store.useNamespace(namespace).setMany(entries, { metadata: { namespace } })
    expected[namespace] = Object.fromEntries(entries)
  }
  store.useNamespace('status').set('marked', 'the bytes of this very text are flipped')
  expected.status.marked = 'the bytes of this very text are flipped'
  store.close()
  const expectedFile = path.join(path.dirname(directory), 'expected.json')
  fs.writeFileSync(expectedFile, JSON.stringify(expected))
  return { directory, expectedFile, bytes: fs.statSync(path.join(directory, 'data.mdb')).size }
}

function flip (file, offset, bit) {
  const descriptor = fs.openSync(file, 'r+')
  const byte = Buffer.alloc(1)
  fs.readSync(descriptor, byte, 0, 1, offset)
  byte[0] ^= 1 << bit
  fs.writeSync(descriptor, byte, 0, 1, offset)
  fs.closeSync(descriptor)
}

/** Has agents read the store with each flip in turn; one that crashes is replaced. */
async function readWithFlips (t, { directory, expectedFile }, flips) {
  const outcomes = []
  while (outcomes.length < flips.length) {
    const rest = flips.slice(outcomes.length)
    const agent = startAgent(t, 'damaged', { directory, expectedFile, flips: rest })
    const said = await agent.all()
    const { code, signal, stderr } = await agent.exited
    outcomes.push(...said)
    if (said.length === rest.length) break
    assert.ok(signal !== null || code > 128, `the agent failed: ${stderr}`)
    outcomes.push({ crash: signal ?? code, wrong: [] })
  }
  return outcomes
}

test('one bit flipped at 200 random places: no wrong value', { timeout: 240_000 }, async (t) => {
  const random = seededRandom(t)
  const store = sample(t)
  const flips = Array.from({ length: 200 }, () => [random.below(store.bytes), random.below(8)])
  const outcomes = await readWithFlips(t, store, flips)
  assert.equal(outcomes.length, 200)
  const count = (condition) => outcomes.filter(condition).length
  t.diagnostic(
    `${store.bytes} bytes: ` +
    `all right ${count(({ errors, missing }) => errors === 0 && missing === 0)}, ` +
    `error ${count(({ errors, refused }) => errors > 0 || refused !== undefined)}, ` +
    `missing ${count(({ missing }) => missing > 0)}, crash ${count(({ crash }) => crash)}`)
  outcomes.forEach(({ wrong }, index) => {
    assert.deepEqual(wrong, [], `byte ${flips[index][0]}, bit ${flips[index][1]}`)
  })
  assert.ok(count(({ errors, refused }) => errors > 0 || refused) > 0, 'some flips were noticed')
})

test('a flip in the bytes of a value is ERR_CORRUPT for that key, and others are read', (t) => {
  const { directory } = sample(t)
  const data = path.join(directory, 'data.mdb')
  const offset = fs.readFileSync(data).indexOf('this very text')
  assert.ok(offset > 0, 'the text is found in the file')
  flip(data, offset, 0)
  const store = openStore(directory)
  const status = store.useNamespace('status')
  throwsCode(() => status.get('marked'), 'ERR_CORRUPT')
  throwsCode(() => status.getEntry('marked'), 'ERR_CORRUPT')
  throwsCode(() => status.getMany(['marked']), 'ERR_CORRUPT')
  throwsCode(() => status.getAll(), 'ERR_CORRUPT')
  throwsCode(() => [...status.values()], 'ERR_CORRUPT')
  throwsCode(() => status.update('marked', () => 1), 'ERR_CORRUPT')
  assert.deepEqual(status.get('key 7'), valueOf('status', 7))
  assert.deepEqual(store.useNamespace('files').get('key 7'), valueOf('files', 7))
  store.close()
})

test('the check finds a wrong value where one is', async (t) => {
  const store = sample(t)
  const expected = JSON.parse(fs.readFileSync(store.expectedFile, 'utf8'))
  expected.files['key 5'].n = 6
  fs.writeFileSync(store.expectedFile, JSON.stringify(expected))
  const [{ wrong }] = await readWithFlips(t, store, [[store.bytes - 1, 0]])
  assert.ok(wrong.some(([namespace, key]) => namespace === 'files' && key === 'key 5'))
})
