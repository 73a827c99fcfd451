'use strict'

// Writers are killed with SIGKILL at random moments. What they had said before is the oracle: it
// left them through a pipe after the store had acknowledged the write.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const path = require('node:path')
const { openStore } = require('..')
const { temporaryDirectory, temporaryStore } = require('./support/store')
const { seededRandom } = require('./support/random')
const { runAgent, startAgent } = require('./support/agents')

const generous = { timeout: 240_000 }
const batchSize = 20

/** Reads what a writer says until it has said `lines`, kills it, and reads the rest. */
async function killAfter (writer, lines) {
  const said = []
  while (said.length < lines) {
    const line = await writer.next()
    if (line === undefined) throw new Error((await writer.exited).stderr)
    said.push(line)
  }
  writer.kill('SIGKILL')
  said.push(...await writer.all())
  const { signal } = await writer.exited
  assert.equal(signal, 'SIGKILL')
  return said
}

/** Every acknowledged set is there, and every batch is whole or absent. */
function verify (store, name, said) {
  const singles = store.useNamespace(`${name} singles`)
  const batches = store.useNamespace(`${name} batches`).getAll()
  const found = new Map()
  for (const [key, value] of Object.entries(batches)) {
    assert.equal(value.key, key)
    found.set(value.batch, (found.get(value.batch) ?? 0) + 1)
  }
  for (const [batch, count] of found) assert.equal(count, batchSize, `batch ${batch} of ${name}`)
  for (const { n } of said) {
    assert.deepEqual(singles.get(`key ${n}`), { n, text: `${n} `.repeat(50) })
    assert.equal(found.get(n), batchSize, `batch ${n} of ${name}`)
  }
  const last = said.at(-1).n
  assert.ok(singles.count() <= last + 2 && found.size <= last + 2, 'nothing nobody wrote')
}

test('the check finds a write that is lost, and a batch that is torn', (t) => {
  const store = temporaryStore(t)
  const write = (n, size) => {
    store.useNamespace('x singles').set(`key ${n}`, { n, text: `${n} `.repeat(50) })
    const keys = Array.from({ length: size }, (_, index) => `batch ${n} key ${index}`)
    store.useNamespace('x batches').setMany(keys.map((key) => [key, { key, batch: n }]))
  }
  write(0, batchSize)
  verify(store, 'x', [{ n: 0 }])
  assert.throws(() => verify(store, 'x', [{ n: 0 }, { n: 1 }]), /AssertionError/)
  write(1, batchSize - 1)
  assert.throws(() => verify(store, 'x', [{ n: 0 }]), /batch 1 of x/)
})

for (const [kind, heldOpen] of [['while others go on', true], ['with nobody else there', false]]) {
  test(`writers killed ${kind} lose nothing they had acknowledged`, generous, async (t) => {
    const random = seededRandom(t)
    const directory = path.join(temporaryDirectory(t), 'store')
    const held = heldOpen ? openStore(directory) : undefined
    for (let round = 0; round < 10; round++) {
      const names = [`${round} a`, `${round} b`]
      const said = await Promise.all(names.map((name) => {
        const writer = startAgent(t, 'acknowledge', { path: directory, name, batchSize })
        return killAfter(writer, 1 + random.below(60))
      }))
      const store = held ?? openStore(directory)
      names.forEach((name, n) => verify(store, name, said[n]))
      assert.equal(store.useNamespace('n').increment('rounds'), round + 1)
      if (!heldOpen) store.close()
    }
    held?.close()
  })
}

test('a counter counts every acknowledged increment of killed processes', generous, async (t) => {
  const random = seededRandom(t)
  const store = temporaryStore(t)
  let acknowledged = 0
  let killed = 0
  for (let round = 0; round < 8; round++) {
    const writers = [0, 1, 2].map(() => startAgent(t, 'increments', { path: store.path }))
    const said = await Promise.all(
      writers.map((writer) => killAfter(writer, 1 + random.below(150))))
    acknowledged += said.flat().length
    killed += writers.length
    const counter = store.get('counter')
    assert.ok(counter >= acknowledged, `${counter} counted, ${acknowledged} acknowledged`)
    assert.ok(counter <= acknowledged + killed, 'at most one unheard increment for each killed')
  }
})

// LMDB's robust mutex alone does not give this (gate.rs): a waiter that is killed just when it is
// woken takes the wake-up with it, and if the next one to lock does not have to wait, nobody wakes
// the others.
test('writers killed while they wait leave nobody waiting', generous, async (t) => {
  const store = temporaryStore(t)
  for (let round = 0; round < 15; round++) {
    const writers = Array.from({ length: 6 }, () =>
      startAgent(t, 'increments', { path: store.path }))
    await Promise.all(writers.map((writer) => writer.next()))
    const [survivor, ...victims] = writers
    for (const victim of victims) victim.kill('SIGKILL')
    await Promise.all(victims.map((victim) => victim.exited))
    const enough = store.get('counter') + 10
    for (let said = await survivor.next(); said.n < enough;) said = await survivor.next()
    survivor.kill('SIGKILL')
    await survivor.exited
  }
})

test('a process killed amid handle recycling disturbs no namespace', generous, async (t) => {
  const random = seededRandom(t)
  const store = temporaryStore(t)
  const names = Array.from({ length: 400 }, (_, n) => `job:${n}`)
  for (const name of names) store.useNamespace(name).set('name', { name })
  for (let round = 0; round < 8; round++) {
    const args = { path: store.path, names: names.length, rounds: 1e9, seed: random.below(1e9) }
    const killed = startAgent(t, 'roam', { ...args, sayAfter: 1 + random.below(600) })
    await killed.next()
    killed.kill('SIGKILL')
    for (const name of names) assert.equal(store.useNamespace(name).get('name').name, name)
    store.useNamespace(random.pick(names)).increment('writes')
    await killed.exited
  }
})

test('a process killed while it opens or creates a store spoils nothing', generous, async (t) => {
  const random = seededRandom(t)
  const directory = temporaryDirectory(t)
  for (let round = 0; round < 24; round++) {
    const store = path.join(directory, `store ${Math.floor(round / 4)}`)
    const killed = startAgent(t, 'increments', { path: store })
    const after = setTimeout(() => killed.kill('SIGKILL'), 20 + random.below(100))
    const said = await killed.all()
    clearTimeout(after)
    await killed.exited
    const [{ returned }] = await runAgent(t, 'count', { path: store, times: 1, how: 'increment' })
    assert.ok(returned[0] > said.length, `${returned[0]} > ${said.length}`)
  }
})
