'use strict'

// Four writers, two of them relaxed, are killed with SIGKILL at random moments, over and over. What
// each had said before is the oracle; a fresh process finds each writer's part in the state after
// its last acknowledged step, or after the one step it was in.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const path = require('node:path')
const { openStore } = require('..')
const { seededRandom } = require('../__test__/support/random')
const { publish, size } = require('./support/figures')
const { start, startServer } = require('./support/processes')
const { workshop } = require('./support/power')

// A writer of so many steps gives way to a new one, so that its state stays small.
const STEPS = 400

/** Lives and deaths of one writer after the other, until the time is over. */
async function livesOf (t, { letter, path, seed, random, until, checker, counts, problems }) {
  let writer = { name: letter, from: 0, starts: [] }
  const all = [writer]
  while (Date.now() < until()) {
    // Killed processes lose nothing in either mode.
    const options = { agent: writer.name, durability: 'ab'.includes(letter) ? 'strict' : 'relaxed' }
    const args = { path, seed, ...writer, steps: STEPS, options }
    const agent = start(t, 'scenario', args)
    const said = await killSoon(agent, random)
    counts.kills += said.isKilled ? 1 : 0
    const least = said.reduce((least, { done }) => (done === undefined ? least : done + 1), writer.from)
    const most = said.reduce((most, { begins }) => (begins === undefined ? most : begins + 1), writer.from)
    counts['acknowledged steps'] += least - writer.from
    problems.push(...said.filter(({ code, failed }) => failed !== undefined || code !== undefined).map((line) => JSON.stringify(line)))
    const expected = { name: writer.name, starts: writer.starts, least, most: Math.max(least, most) }
    const answer = await checker.ask({ path, seed, writers: [expected], isShared: true })
    problems.push(...answer.problems ?? [`the process that looked died: ${answer.crash}`])
    const from = answer.found?.[writer.name]?.at(-1)
    if (from === undefined) return all
    Object.assign(writer, { end: from })
    if (from < STEPS) Object.assign(writer, { from, starts: [...writer.starts, from] })
    else all.push(writer = { name: `${letter}${all.length}`, from: 0, starts: [] })
  }
  return all
}

/** Kills an agent while it opens the store, or after it has said so many lines. */
async function killSoon (agent, random) {
  const said = []
  const lines = random.below(60)
  if (random.next() < 0.1) {
    const timer = setTimeout(() => agent.kill('SIGKILL'), random.below(100))
    said.push(...await agent.all())
    clearTimeout(timer)
  } else {
    for (let line = {}; said.length < lines && (line = await agent.next()) !== undefined;) said.push(line)
    agent.kill('SIGKILL')
    said.push(...await agent.all())
  }
  said.isKilled = (await agent.exited).signal === 'SIGKILL'
  return said
}

async function killFor (t, ms, env) {
  const random = seededRandom(t)
  const seed = random.below(2 ** 32)
  const store = path.join(workshop(t), 'store')
  const counts = { kills: 0, 'acknowledged steps': 0 }
  const problems = []
  const end = Date.now() + ms
  // The first problem ends it.
  const until = () => (problems.length > 0 ? 0 : end)
  const checkers = [0, 1, 2, 3].map(() => startServer(t, 'checker', { env }))
  const writers = await Promise.all(['a', 'b', 'c', 'd'].map((letter, n) =>
    livesOf(t, { letter, path: store, seed, random, until, checker: checkers[n], counts, problems })))
  const ended = writers.flat().map(({ name, starts, end = 0 }) =>
    ({ name, starts, least: end, most: end }))
  const answer = await checkers[0].ask({ path: store, seed, writers: ended })
  problems.push(...answer.problems ?? [answer.crash])
  for (const checker of checkers) await checker.stop()
  return { counts, problems, seed: random.seed }
}

test('the check finds a write that is lost, one that is torn and one that nobody made', async (t) => {
  const store = path.join(workshop(t), 'store')
  const writer = { name: 'a', from: 0, starts: [] }
  const said = await start(t, 'scenario', { path: store, seed: 1, ...writer, steps: 30 }).all()
  assert.equal(said.filter(({ done }) => done !== undefined).length, 30)
  const checker = startServer(t, 'checker')
  const look = async (least, most = least) => {
    const writers = [{ ...writer, least, most }]
    return (await checker.ask({ path: store, seed: 1, writers })).problems.join()
  }
  assert.equal(await look(30), '')
  assert.match(await look(60), /^lost: a is after step \d+, 60 were acknowledged/)
  assert.match(await look(0, 20), /^torn/)
  const handle = openStore(store)
  const batches = handle.useNamespace('a/batches')
  batches.delete(batches.listKeys()[0])
  assert.match(await look(30), /^torn/)
  handle.close()
  await checker.stop()
})

test('writers killed at random lose nothing, and leave nothing half done', { timeout: 600_000 }, async (t) => {
  const { counts, problems, seed } = await killFor(t, size(5_000, 60_000))
  publish(t, 'SIGKILL of four writers at random', { ...counts, problems: problems.length }, seed)
  assert.deepEqual(problems, [])
  assert.ok(counts.kills > 10, `${counts.kills} kills`)
})
