'use strict'

// Runs of writers, cut off from power at many points, some of them over and over.

const fs = require('node:fs')
const path = require('node:path')
const { seededRandom } = require('../../__test__/support/random')
const { environment } = require('./interposer')
const { startServer } = require('./processes')
const power = require('./power')

// So many times the power goes again for a store that was opened after a cut.
const GENERATIONS = 3
// Cuts of one run of writers.
const CUTS = 30

/** One to three writers, of which some are killed on their way. */
function plan (random, relaxed) {
  const flushInterval = random.pick([5, 20, 100])
  const isMixed = random.next() < 0.3
  return Array.from({ length: 1 + random.below(3) }, (_, n) => ({
    ...random.next() < 0.3 ? { name: `async ${'abc'[n]}`, atOnce: 1 + random.below(30) } : { name: 'abc'[n] },
    from: 0,
    steps: relaxed ? 20 + random.below(300) : 5 + random.below(80),
    starts: [],
    close: random.next() < 0.5,
    kill: killing(random, relaxed ? 800 : 200),
    ...relaxed && !(isMixed && n === 1) && { options: { durability: 'relaxed', flushInterval } },
    ...relaxed && { pauseMs: random.pick([0, 2, 4]) }
  }))
}

function killing (random, most) {
  if (random.next() < 0.5) return {}
  const what = random.pick(['kill', 'kill-after', 'torn'])
  return { file: '/store', calls: 'wsd', do: what, at: 1 + random.below(most) }
}

/** The same writers, going on from where they were found after a cut. */
const resume = (writers, found, random) => writers.map((writer) => {
  const from = found[writer.name].at(-1)
  const starts = [...writer.starts, from]
  return { ...writer, from, starts, steps: 1 + random.below(20), kill: killing(random, 200) }
})

/** Adds what was found to `total` and `problems`. */
function judgeAll (findings, { total, problems: all, judge, seed, generation }, run, writers) {
  total['power cuts'] += findings.length
  total['writers killed before the cut'] += run.killed
  for (const finding of findings) {
    const { at, fate, problems } = finding
    if (problems.length === 0 && judge) problems.push(...judge(finding, run, writers, total))
    if (problems.length === 0) continue
    const where = `seed ${seed}, ${generation}, record ${at} of ${run.records.length}, ${fate}`
    all.push(`${where}: ${problems.join('; ')}`)
  }
}

/**
 * Lets writers work and cuts the power of their disk; some of the stores are written to further,
 * and cut again.
 */
async function work (t, context, root, writers, generation = 0) {
  const { random, directory, checker, seed, total, ...rest } = context
  const boot = power.bootId(directory, 'acde'[generation])
  const syncUs = random.pick([undefined, 300])
  const run = await power.runWriters(t, { ...rest, directory, root, boot, seed, writers, syncUs })
  const points = power.cutPoints(run.records, generation === 0 ? CUTS : 4, random)
  const keepEvery = generation === 0 ? 10 : 4
  const findings = await power.cutAndCheck({
    run, points, seed, writers, random, checker, directory, keepEvery
  })
  fs.rmSync(root, { recursive: true })
  if (generation > 0) total['of them after an earlier cut'] += findings.length
  judgeAll(findings, { ...context, generation }, run, writers)
  for (const { kept, answer, problems } of findings.filter(({ kept }) => kept)) {
    const goesOn = problems.length === 0 && generation + 1 < GENERATIONS
    if (goesOn) await work(t, context, kept, resume(writers, answer.found, random), generation + 1)
    else fs.rmSync(kept, { recursive: true })
  }
}

/** What a test of many cuts works with. */
function begin (t, how) {
  const random = seededRandom(t)
  const directory = power.workshop(t)
  const env = { ...how.env, COMMONHOLD_PACKAGE: how.package }
  const checkerEnvironment = environment({ bootId: power.bootId(directory, 'b') }, env)
  const checker = startServer(t, 'checker', { env: checkerEnvironment })
  const total = {
    'power cuts': 0, 'of them after an earlier cut': 0, 'writers killed before the cut': 0
  }
  return { random, directory, checker, total, problems: [], ...how, env }
}

/**
 * Cuts the power at least `wanted` times, over many runs of writers; or, where a fault was planted,
 * until `enough` problems were found.
 */
async function manyCuts (t, wanted, how = {}) {
  const context = begin(t, how)
  const { random, directory, checker, total, problems } = context
  while (total['power cuts'] < wanted && problems.length < (how.enough ?? Infinity)) {
    const root = fs.mkdtempSync(path.join(directory, 'root-'))
    await work(t, { ...context, seed: random.below(2 ** 32) }, root, plan(random, how.relaxed))
  }
  await checker.stop()
  return { total, problems, seed: random.seed }
}

/**
 * A writer is killed before every `every`-th of its first calls, a second one goes on, and the power
 * goes for it: it must not rely on what the first had only begun to bring to the disk.
 */
async function cutsAfterUnfinished (t, every, how = {}) {
  const context = begin(t, how)
  const { random, directory, checker, total, problems } = context
  const options = how.relaxed && { durability: 'relaxed', flushInterval: 5 }
  for (let at = 1 + random.below(every), killed = 1; killed > 0; at += every) {
    const root = fs.mkdtempSync(path.join(directory, 'root-'))
    const writer = { from: 0, starts: [], options, pauseMs: how.relaxed ? 4 : 0 }
    const writers = [
      // A store in use has no checkpoints until the first relaxed writer comes.
      ...how.relaxed ? [{ ...writer, name: 'c', steps: 40, options: undefined }] : [],
      { ...writer, name: 'a', steps: 3, kill: { file: root, calls: 'wsd', do: 'kill', at } },
      { ...writer, name: 'b', steps: 10 }
    ]
    const seed = random.below(2 ** 32)
    const boot = power.bootId(directory, 'a')
    const run = await power.runWriters(t, { ...context, root, boot, seed, writers, oneByOne: true })
    killed = run.killed
    const end = run.records.length
    const opened = run.said.find(({ opened }) => opened === 'b').at
    const parts = [0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    const points = parts.map((part) => Math.ceil(opened + part * (end - opened)))
    const fates = ['dropped', 'first ones', 'last ones', 'some pages and no names']
    judgeAll(await power.cutAndCheck({ ...context, run, points, seed, writers, fates }),
      { ...context, seed, generation: `killed at call ${at}` }, run, writers)
    fs.rmSync(root, { recursive: true })
  }
  await checker.stop()
  return { total, problems, seed: random.seed }
}

module.exports = { cutsAfterUnfinished, manyCuts }
