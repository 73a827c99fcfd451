'use strict'

// The data file is damaged: bits flip, pages become zeros, noise, half a page or another page, the
// file is cut short at every page. Each damage is met by a process that reads everything in every
// way: a right value, nothing or an error, never a wrong value. SECURITY.md says that the process
// may die of it; how often is published.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const { readDamaged, sampleStore, tally } = require('../__test__/support/damage')
const { generator, seededRandom } = require('../__test__/support/random')
const { publish, size } = require('./support/figures')

const options = { timeout: 1_200_000 }
const PAGE = 4096

/** Damages a store in so many ways, two processes at a time, and judges what they read. */
async function damageAndRead (t, fault, makeDamages) {
  const random = seededRandom(t)
  const store = sampleStore(t)
  const damages = makeDamages(store.bytes, random)
  const middle = Math.ceil(damages.length / 2)
  const halves = [damages.slice(0, middle), damages.slice(middle)]
  const outcomes = (await Promise.all(halves.map((half) => readDamaged(t, store, half)))).flat()
  assert.equal(outcomes.length, damages.length)
  const wrong = outcomes.flatMap(({ wrong }, n) => (wrong.length > 0 ? [{ damage: damages[n], wrong }] : []))
  const counts = tally(outcomes)
  publish(t, fault, { damages: damages.length, ...counts }, random.seed)
  assert.deepEqual(wrong, [])
  return { counts, outcomes }
}

test('the check finds a wrong value where one is', options, async (t) => {
  const store = sampleStore(t)
  const expected = JSON.parse(fs.readFileSync(store.expectedFile, 'utf8'))
  expected.namespaces.files['key 5'].n = 6
  expected.tasks['task 7'].n = 8
  fs.writeFileSync(store.expectedFile, JSON.stringify(expected))
  const [outcome] = await readDamaged(t, store, [{ length: store.bytes }])
  assert.deepEqual(new Set(outcome.wrong.map(([, key]) => key)), new Set(['key 5', 'task 7']))
})

test('single bits flipped anywhere give no wrong value', options, async (t) => {
  const { counts } = await damageAndRead(t, 'one bit flipped', (bytes, random) =>
    Array.from({ length: size(60, 1_000) }, () => ({ flip: [random.below(bytes), random.below(8)] })))
  assert.ok(counts.error > 0, 'some flips were noticed')
})

for (const [becomes, fault] of [['zeros', 'a page of zeros'], ['noise', 'a page of noise'],
  ['half', 'a page whose second half is zeros'], ['other', 'a page that holds another page']]) {
  test(`${fault} gives no wrong value`, options, async (t) => {
    await damageAndRead(t, fault, (bytes, random) => {
      const all = Array.from({ length: bytes / PAGE }, (_, page) => ({ page, becomes, seed: random.below(2 ** 32) }))
      return some(all, random)
    })
  })
}

test('a file that is cut short is refused, at every page', options, async (t) => {
  const { outcomes } = await damageAndRead(t, 'the file cut short at every page', (bytes, random) =>
    some(Array.from({ length: bytes / PAGE }, (_, page) => ({ length: page * PAGE })), random))
  assert.ok(outcomes.every(({ crash }) => crash === undefined), 'no process died')
})

/** All of them, or those that the fast part has time for. */
function some (list, { seed }) {
  const random = generator(seed)
  return size(Array.from({ length: 12 }, () => random.pick(list)), list)
}
