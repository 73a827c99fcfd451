'use strict'

// A process reads lock.mdb itself while it has the store open: a careless script, a backup tool. POSIX
// drops LMDB's locks of the process then, and the next process to open the store takes itself for the
// only one (SECURITY.md, "What remains"). Processes may die of it or wait without end; what they are
// told must be true, and nothing acknowledged may be lost.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const path = require('node:path')
const { check, openStore } = require('..')
const { seededRandom } = require('../__test__/support/random')
const { publish, size } = require('./support/figures')
const { start } = require('./support/processes')
const { workshop } = require('./support/power')

const NAMESPACES = 200
// A process that has not ended by then waits for a lock that nobody holds any more.
const PATIENCE_MS = 5_000

/** The lines of one agent after the other, each until it ends or dies. */
async function livesOf (t, directory, random, lives) {
  const said = []
  let died = 0
  let stuck = 0
  for (let life = 0; life < lives; life++) {
    const args = { path: directory, namespaces: NAMESPACES, seed: random.below(2 ** 32), rounds: 40 }
    const agent = start(t, 'lock-reader', args)
    const timer = setTimeout(() => {
      stuck += 1
      agent.kill('SIGKILL')
    }, PATIENCE_MS)
    said.push(...await agent.all())
    clearTimeout(timer)
    const { code, signal, stderr } = await agent.exited
    assert.ok(code === 0 || signal !== null, stderr)
    died += signal === null ? 0 : 1
  }
  return { said, died, stuck }
}

test('processes that read lock.mdb themselves are told nothing wrong and lose nothing', { timeout: 300_000 }, async (t) => {
  const random = seededRandom(t)
  const directory = path.join(workshop(t), 'store')
  const store = openStore(directory)
  for (let n = 0; n < NAMESPACES; n++) store.useNamespace(`job ${n}`).set('name', `job ${n}`)
  store.close()
  const all = await Promise.all([0, 1, 2].map(() => livesOf(t, directory, random, size(4, 20))))
  const said = all.flatMap(({ said }) => said)
  const [died, stuck] = ['died', 'stuck'].map((name) =>
    all.reduce((sum, found) => sum + found[name], 0))
  const after = openStore(directory)
  const visits = after.listNamespaces({ prefix: 'job ' })
    .reduce((sum, name) => sum + after.useNamespace(name).get('visits', 0), 0)
  after.close()
  const increments = said.filter(({ increments }) => increments).length
  const wrong = said.filter(({ wrong }) => wrong)
  const refused = said.filter(({ code }) => code)
  const { status, problems } = await check(directory)
  publish(t, 'lock.mdb read by processes that have the store open', {
    processes: 3 * size(4, 20),
    'died of it': died - stuck,
    'waited without end': stuck,
    'increments acknowledged': increments,
    errors: refused.length,
    'wrong values': wrong.length
  }, random.seed)
  assert.deepEqual(wrong, [])
  assert.ok(visits >= increments && visits <= increments + died, `${visits} counted, ${increments} acknowledged, ${died} died`)
  assert.equal(status, 'sound', JSON.stringify(problems[0]))
})
