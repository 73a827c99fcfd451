'use strict'

// A closed store with known content, damage of its data file, and agents that read it.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('../..')
const { startAgent } = require('./agents')
const { generator } = require('./random')
const { temporaryDirectory } = require('./store')

const PAGE = 4096
const namespaces = ['files', 'summaries', 'status']

/** What is stored under a key; the same key differs between namespaces. */
const valueOf = (namespace, n) => ({
  namespace,
  n,
  text: `${namespace} ${n} `.repeat(n % 17 === 0 ? 500 : n % 13),
  list: [n, n / 7, String(n)]
})

/** A closed store with known content, which is also in a file for agents. */
function sampleStore (t) {
  const directory = path.join(temporaryDirectory(t), 'store')
  const store = openStore(directory)
  const expected = { namespaces: {}, tasks: {} }
  for (const namespace of namespaces) {
    const entries = Array.from({ length: 300 }, (_, n) => [`key ${n}`, valueOf(namespace, n)])
    store.useNamespace(namespace).setMany(entries, { metadata: { namespace } })
    expected.namespaces[namespace] = Object.fromEntries(entries)
  }
  const marked = 'the bytes of this very text are flipped'
  store.useNamespace('status').set('marked', marked)
  expected.namespaces.status.marked = marked
  for (let n = 0; n < 60; n++) {
    const item = valueOf('tasks', n)
    expected.tasks[store.useQueue('work').push(item, { id: `task ${n}` })] = item
  }
  store.close()
  const expectedFile = path.join(path.dirname(directory), 'expected.json')
  fs.writeFileSync(expectedFile, JSON.stringify(expected))
  return { directory, expectedFile, bytes: fs.statSync(path.join(directory, 'data.mdb')).size }
}

/**
 * The bytes of a data file after damage of one kind: `flip: [offset, bit]`, `length` to which it is
 * cut, or a `page` that is `zeros`, `noise`, `half` (its second half is zeros) or `other` (it holds
 * what belongs to another page).
 */
function damaged (bytes, { flip, length, page, becomes, seed }) {
  if (length !== undefined) return bytes.subarray(0, length)
  const copy = Buffer.from(bytes)
  if (flip !== undefined) {
    copy[flip[0]] ^= 1 << flip[1]
    return copy
  }
  const random = generator(seed)
  const target = copy.subarray(page * PAGE, (page + 1) * PAGE)
  if (becomes === 'zeros') target.fill(0)
  if (becomes === 'half') target.fill(0, PAGE / 2)
  if (becomes === 'noise') for (let at = 0; at < PAGE; at++) target[at] = random.below(256)
  if (becomes === 'other') bytes.copy(target, 0, random.below(bytes.length / PAGE) * PAGE)
  return copy
}

/** Has agents read the store with each damage in turn; one that crashes is replaced. */
async function readDamaged (t, { directory, expectedFile }, damages) {
  const outcomes = []
  while (outcomes.length < damages.length) {
    const rest = damages.slice(outcomes.length)
    const agent = startAgent(t, 'damaged', { directory, expectedFile, damages: rest })
    const said = await agent.all()
    const { code, signal, stderr } = await agent.exited
    outcomes.push(...said)
    if (said.length === rest.length) break
    assert.ok(signal !== null || code > 128, `the agent failed: ${stderr}`)
    outcomes.push({ crash: signal ?? code, wrong: [] })
  }
  return outcomes
}

/** How many outcomes are of each kind: a crash, else an error, else something missing, else right. */
function tally (outcomes) {
  const counts = { 'all right': 0, error: 0, missing: 0, crash: 0, 'wrong value': 0 }
  for (const { wrong, errors, missing, refused, crash } of outcomes) {
    if (wrong.length > 0) counts['wrong value'] += 1
    else if (crash !== undefined) counts.crash += 1
    else if (errors > 0 || refused !== undefined) counts.error += 1
    else if (missing > 0) counts.missing += 1
    else counts['all right'] += 1
  }
  return counts
}

module.exports = { damaged, readDamaged, sampleStore, tally, valueOf }
