'use strict'

// The anomalies that serializable transactions exclude, tried by several processes at once; and
// each of them found where the check against it is left out (support/weakened.js).

const { before, test } = require('node:test')
const assert = require('node:assert/strict')
const { openStore } = require('..')
const { startAgent } = require('./support/agents')
const { seededRandom } = require('./support/random')
const { temporaryDirectory, temporaryStore } = require('./support/store')
const { weakenedPackage, without } = require('./support/weakened')

const PROCESSES = 4

/** Lets processes try an anomaly; returns what they say together, and the store's namespace. */
async function attempt (t, anomaly, rounds, args = {}, options = {}) {
  const random = seededRandom(t)
  const store = temporaryStore(t)
  const agents = Array.from({ length: PROCESSES }, (_, index) => startAgent(t, 'anomaly',
    { path: store.path, anomaly, rounds, index, seed: random.below(2 ** 32), ...args }, options))
  const total = { seen: 0, runs: 0 }
  for (const agent of agents) {
    const [said] = await agent.all()
    const { code, stderr } = await agent.exited
    assert.equal(code, 0, stderr)
    total.seen += said.seen
    total.runs += said.runs
  }
  return { ...total, namespace: store.useNamespace('n') }
}

const ANOMALIES = {
  'a lost update': { anomaly: 'lostUpdate', rounds: 60, check: 'key-versions' },
  'a lost update over ifVersion': { anomaly: 'lostVersion', rounds: 60, check: 'lost-update' },
  'a write skew': { anomaly: 'writeSkew', rounds: 100, check: 'key-versions' },
  'a phantom': { anomaly: 'phantom', rounds: 100, check: 'namespace-versions' },
  'a torn read inside the function': { anomaly: 'tornRead', rounds: 200, check: 'extension' }
}

/** How many anomalies there were: seen by the processes, or missing from the counter. */
function anomaliesOf ({ seen, namespace }, { anomaly, rounds }) {
  if (!anomaly.startsWith('lost')) return seen
  return rounds * PROCESSES - namespace.get('counter')
}

/** Tries until an anomaly is found; only the time limit of the tests ends it before. */
async function untilFound (t, count) {
  for (let attempts = 1; ; attempts++) {
    const found = await count()
    if (found > 0) return t.diagnostic(`${found} found in attempt ${attempts}`)
  }
}

let weakened
before((t) => { weakened = weakenedPackage(t) })

for (const [name, { check, ...spec }] of Object.entries(ANOMALIES)) {
  test(`${PROCESSES} processes never see ${name}`, async (t) => {
    const outcome = await attempt(t, spec.anomaly, spec.rounds)
    t.diagnostic(`${outcome.runs} runs for ${PROCESSES * spec.rounds} rounds`)
    assert.equal(anomaliesOf(outcome, spec), 0)
  })

  test(`without the check "${check}" they see ${name}`, async (t) => {
    await untilFound(t, async () => anomaliesOf(
      await attempt(t, spec.anomaly, spec.rounds, { package: weakened }, without(check)), spec))
  })
}

test('the weakened build excludes all of them, as long as no check is left out', async (t) => {
  for (const spec of Object.values(ANOMALIES)) {
    const outcome = await attempt(t, spec.anomaly, 10, { package: weakened }, without())
    assert.equal(anomaliesOf(outcome, { ...spec, rounds: 10 }), 0)
  }
})

/** What deposit, withdrawal and reader give in each serial order: [reader's view, checking]. */
function serialOutcomes () {
  const outcomes = new Set()
  const orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
  for (const order of orders) {
    let [checking, savings, view] = [0, 0]
    const steps = [
      () => { savings += 20 },
      () => { checking -= checking + savings >= 10 ? 10 : 11 },
      () => { view = [checking, savings] }
    ]
    for (const step of order) steps[step]()
    outcomes.add(JSON.stringify([view, checking]))
  }
  return outcomes
}

/** Plays rounds of the read-only anomaly; returns how many outcomes no serial order explains. */
async function playRounds (t, rounds, args, options) {
  const random = seededRandom(t)
  const path = `${temporaryDirectory(t)}/store`
  const store = openStore({ path })
  t.after(() => store.close())
  const agents = ['deposit', 'withdrawal', 'reader'].map((party) => startAgent(t,
    'read-only-anomaly', { path, party, seed: random.below(2 ** 32), ...args }, options))
  await Promise.all(agents.map((agent) => agent.next()))
  const serial = serialOutcomes()
  let unexplained = 0
  for (let round = 0; round < rounds; round++) {
    for (const agent of agents) agent.tell(`round ${round}`)
    const said = await Promise.all(agents.map((agent) => agent.next()))
    const outcome = [said[2].result, store.useNamespace(`round ${round}`).get('checking')]
    if (!serial.has(JSON.stringify(outcome))) unexplained += 1
  }
  for (const agent of agents) agent.tell('end')
  for (const agent of agents) assert.equal((await agent.exited).code, 0)
  return unexplained
}

const READ_ONLY_ROUNDS = 150

test('three processes never see the read-only anomaly', async (t) => {
  assert.equal(await playRounds(t, READ_ONLY_ROUNDS), 0)
})

test('without the check "key-versions" they see the read-only anomaly', async (t) => {
  await untilFound(t, () =>
    playRounds(t, READ_ONLY_ROUNDS, { package: weakened }, without('key-versions')))
})
