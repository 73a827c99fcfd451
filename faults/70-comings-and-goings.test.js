'use strict'

// Processes that open a store, use more namespaces than they have handles, and close it again, all
// the time and against each other: LMDB's reader table and lock file are set up and left thousands of
// times, and environments are recycled under the eyes of others.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const path = require('node:path')
const { openStore } = require('..')
const { seededRandom } = require('../__test__/support/random')
const { publish, size } = require('./support/figures')
const { start } = require('./support/processes')
const { workshop } = require('./support/power')

const NAMESPACES = 300

async function comeAndGo (t, seconds, spoil = () => {}) {
  const random = seededRandom(t)
  const directory = path.join(workshop(t), 'store')
  const store = openStore(directory)
  for (let n = 0; n < NAMESPACES; n++) store.useNamespace(`job ${n}`).set('name', `job ${n}`)
  spoil(store)
  store.close()
  const agents = [0, 1, 2].map(() =>
    start(t, 'comings', { path: directory, namespaces: NAMESPACES, seed: random.below(2 ** 32) }))
  const timer = setTimeout(() => agents.forEach(({ child }) => child.stdin.end()), seconds * 1000)
  const said = await Promise.all(agents.map(async (agent) => {
    const [found] = await agent.all()
    const { code, signal, stderr } = await agent.exited
    assert.equal(code, 0, `${signal} ${stderr}`)
    return found
  }))
  clearTimeout(timer)
  const sum = (name) => said.reduce((sum, found) => sum + found[name], 0)
  const after = openStore(directory)
  const visits = after.listNamespaces({ prefix: 'job ' })
    .reduce((sum, name) => sum + after.useNamespace(name).get('visits', 0), 0)
  after.close()
  const wrong = said.flatMap(({ wrong }) => wrong)
  return { wrong, visits, increments: sum('increments'), opened: sum('opened'), read: sum('read'), seed: random.seed }
}

test('the check finds a value in the wrong namespace', { timeout: 60_000 }, async (t) => {
  const spoil = (store) => {
    for (let n = 0; n < 50; n++) store.useNamespace(`job ${n}`).set('name', 'job 299')
  }
  const { wrong } = await comeAndGo(t, 0.5, spoil)
  assert.ok(wrong.length > 0)
})

test('processes that open, recycle and close against each other disturb nobody', { timeout: 300_000 }, async (t) => {
  const { wrong, visits, increments, opened, read, seed } = await comeAndGo(t, size(5, 60))
  publish(t, 'three processes open, recycle and close', {
    'times opened': opened, 'values read': read, increments, 'increments lost': increments - visits, 'wrong values': wrong.length
  }, seed)
  assert.deepEqual(wrong, [])
  assert.equal(visits, increments)
})
