'use strict'

// The power goes at any moment. Writers work under a journal of all that they ask of the disk
// (interpose.c); from it the disks are made that a cut may leave, with what no sync has covered
// dropped, kept, or taken page by page (support/disk.js); and a process that takes itself for
// another boot opens them. The journal also holds what the writers had acknowledged by then.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { seededRandom } = require('../__test__/support/random')
const { weakenedPackage, without } = require('../__test__/support/weakened')
const { environment, interposer } = require('./support/interposer')
const { publish, size } = require('./support/figures')
const { startServer } = require('./support/processes')
const power = require('./support/power')

const { reason } = interposer()
const options = { skip: reason, timeout: 1_200_000 }
// So many times the power goes again for a store that was opened after a cut.
const GENERATIONS = 3

/** One to three writers, of which some are killed on their way. */
function plan (random) {
  return Array.from({ length: 1 + random.below(3) }, (_, n) => ({
    name: 'abc'[n],
    from: 0,
    steps: 5 + random.below(80),
    starts: [],
    close: random.next() < 0.5,
    kill: killing(random)
  }))
}

function killing (random) {
  if (random.next() < 0.5) return {}
  const what = random.pick(['kill', 'kill-after', 'torn'])
  return { file: '/store', calls: 'wsd', do: what, at: 1 + random.below(200) }
}

/** The same writers, going on from where they were found after a cut. */
const resume = (writers, found, random) => writers.map((writer) => {
  const from = found[writer.name]
  const starts = [...writer.starts, from]
  return { ...writer, from, starts, steps: 1 + random.below(20), kill: killing(random) }
})

/**
 * Lets writers work and cuts the power of their disk; some of the stores are written to further,
 * and cut again. Adds what it finds to `total` and `problems`.
 */
async function work (t, context, root, writers, generation = 0) {
  const { random, directory, checker, seed, cuts, total, problems, ...rest } = context
  const boot = power.bootId(directory, 'acde'[generation])
  const syncUs = random.pick([undefined, 300])
  const run = await power.runWriters(t, { ...rest, directory, root, boot, seed, writers, syncUs })
  const points = power.cutPoints(run.records, generation === 0 ? cuts : 4, random)
  const keepEvery = generation === 0 ? 10 : 4
  const findings = await power.cutAndCheck({
    run, points, seed, writers, random, checker, directory, keepEvery
  })
  fs.rmSync(root, { recursive: true })
  total['power cuts'] += findings.length
  if (generation > 0) total['of them after an earlier cut'] += findings.length
  total['writers killed before the cut'] += run.killed
  for (const { at, fate, problems: found } of findings) {
    if (found.length === 0) continue
    problems.push(`seed ${seed}, generation ${generation}, record ${at}, ${fate}: ${found.join('; ')}`)
  }
  for (const { kept, found, problems } of findings.filter(({ kept }) => kept)) {
    const goesOn = problems.length === 0 && generation + 1 < GENERATIONS
    if (goesOn) await work(t, context, kept, resume(writers, found, random), generation + 1)
    else fs.rmSync(kept, { recursive: true })
  }
}

/** Cuts the power at least `wanted` times, over many runs of writers. */
async function manyCuts (t, wanted, how = {}) {
  const random = seededRandom(t)
  const directory = power.workshop(t)
  const env = { ...how.env, COMMONHOLD_PACKAGE: how.package }
  const checkerEnvironment = environment({ bootId: power.bootId(directory, 'b') }, env)
  const checker = startServer(t, 'checker', { env: checkerEnvironment })
  const total = {
    'power cuts': 0, 'of them after an earlier cut': 0, 'writers killed before the cut': 0
  }
  const context = { random, directory, checker, cuts: 30, total, problems: [], ...how, env }
  while (total['power cuts'] < wanted) {
    const root = fs.mkdtempSync(path.join(directory, 'root-'))
    await work(t, { ...context, seed: random.below(2 ** 32) }, root, plan(random))
  }
  await checker.stop()
  return { total, problems: context.problems, seed: random.seed }
}

test('the check finds what a disk loses that lies about its syncs', options, async (t) => {
  const { problems, total } = await manyCuts(t, 60, { lie: true })
  t.diagnostic(`found ${problems.length} of ${total['power cuts']}`)
  assert.ok(problems.some((text) => /lost/.test(text)), 'lost writes')
  assert.ok(problems.length > 10)
})

test('the check finds what is lost where LMDB does not sync', options, async (t) => {
  const env = without('sync').env
  const { problems, total } = await manyCuts(t, 60, { env, package: weakenedPackage(t) })
  t.diagnostic(`found ${problems.length} of ${total['power cuts']}`)
  assert.ok(problems.some((text) => /lost/.test(text)), 'lost writes')
  assert.ok(problems.length > 10)
})

test('strict: a power cut loses nothing that was acknowledged', options, async (t) => {
  const { total, problems, seed } = await manyCuts(t, size(300, 2_000))
  publish(t, 'power cut, strict', { ...total, 'acknowledged writes lost or torn': problems.length }, seed)
  assert.deepEqual(problems, [])
})
