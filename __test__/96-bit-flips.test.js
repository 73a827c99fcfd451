'use strict'

// LMDB has no checksums, so the store has its own: whichever bit of the data file flips, a read
// gives the right value, nothing, or an error, never a wrong value. A damaged page may also crash
// the process that reads it, so the reading is done by an agent of its own.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('..')
const { throwsCode } = require('./support/store')
const { seededRandom } = require('./support/random')
const { damaged, readDamaged, sampleStore, tally, valueOf } = require('./support/damage')

test('one bit flipped at 200 random places: no wrong value', { timeout: 240_000 }, async (t) => {
  const random = seededRandom(t)
  const store = sampleStore(t)
  const flips = Array.from({ length: 200 }, () => [random.below(store.bytes), random.below(8)])
  const outcomes = await readDamaged(t, store, flips.map((flip) => ({ flip })))
  assert.equal(outcomes.length, 200)
  const counts = tally(outcomes)
  t.diagnostic(`${store.bytes} bytes: ${JSON.stringify(counts)}`)
  outcomes.forEach(({ wrong }, index) => {
    assert.deepEqual(wrong, [], `byte ${flips[index][0]}, bit ${flips[index][1]}`)
  })
  assert.ok(counts.error > 0, 'some flips were noticed')
})

test('a flip in the bytes of a value is ERR_CORRUPT for that key, and others are read', (t) => {
  const { directory } = sampleStore(t)
  const data = path.join(directory, 'data.mdb')
  const bytes = fs.readFileSync(data)
  const offset = bytes.indexOf('this very text')
  assert.ok(offset > 0, 'the text is found in the file')
  fs.writeFileSync(data, damaged(bytes, { flip: [offset, 0] }))
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
  const store = sampleStore(t)
  const expected = JSON.parse(fs.readFileSync(store.expectedFile, 'utf8'))
  expected.namespaces.files['key 5'].n = 6
  fs.writeFileSync(store.expectedFile, JSON.stringify(expected))
  const [{ wrong }] = await readDamaged(t, store, [{ flip: [store.bytes - 1, 0] }])
  assert.ok(wrong.some(([namespace, key]) => namespace === 'files' && key === 'key 5'))
})
