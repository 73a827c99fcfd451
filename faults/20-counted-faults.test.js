'use strict'

// One fault at the N-th call, for every N: the process is killed before it, after it or in the middle
// of a write; the call fails with EIO or ENOSPC, once or from then on; a write is cut short. What
// the process had been told before stands outside of it and is compared with what a fresh process
// finds.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { seededRandom } = require('../__test__/support/random')
const { callCounter, environment, interposer } = require('./support/interposer')
const { isFull, publish } = require('./support/figures')
const { start, startServer } = require('./support/processes')
const { bootId, workshop } = require('./support/power')

const { reason } = interposer()
const options = { skip: reason, timeout: 1_200_000 }

const RELAXED = { durability: 'relaxed', flushInterval: 1 }

const SCENARIOS = {
  'open and create': { writer: 'set', steps: 1, isNew: true },
  set: { writer: 'set', steps: 6 },
  setMany: { writer: 'setMany', steps: 4 },
  transaction: { writer: 'transaction', steps: 4 },
  queue: { writer: 'queue', steps: 10 },
  'expiry and its sweep': { writer: 'expiry', steps: 8 },
  'history trimmed': { writer: 'set', steps: 40, options: { history: { maxBytes: 64 * 1024 } }, sparse: 8 },
  recycling: { writer: 'recycling', steps: 24, sparse: 8 },
  backup: { writer: 'set', steps: 1, backsUp: true },
  'relaxed, with checkpoints': { writer: 'transaction', steps: 12, options: RELAXED },
  'recovery after a power cut': { writer: 'set', steps: 2, options: RELAXED, recovers: true }
}

const FAULTS = {
  'killed before a call': { do: 'kill' },
  'killed after a call': { do: 'kill-after' },
  'killed amid a write': { do: 'torn', calls: 'w' },
  'EIO once': { do: 'eio' },
  'EIO from then on': { do: 'eio', forever: 1 },
  'ENOSPC once': { do: 'enospc', calls: 'wd' },
  'ENOSPC from then on': { do: 'enospc', calls: 'wd', forever: 1 },
  'a short write': { do: 'short', calls: 'w' }
}

const CODES = { eio: ['ERR_IO'], enospc: ['ERR_NO_SPACE'], short: ['ERR_IO', 'ERR_NO_SPACE'], torn: [] }

/** Runs one scenario with one fault in a store of its own. */
async function run (t, { base, directory, seed, scenario, fault, at }) {
  const root = fs.mkdtempSync(path.join(directory, 'run-'))
  if (!scenario.isNew) fs.cpSync(base, root, { recursive: true })
  const { writer: name, steps, from = 0 } = scenario
  const counter = callCounter(path.join(directory, `calls ${path.basename(root)}`))
  const args = {
    path: path.join(root, 'store'),
    seed,
    name,
    steps,
    from,
    starts: from > 0 ? [from] : [],
    options: scenario.options,
    forever: fault.forever !== undefined,
    backup: scenario.backsUp && path.join(root, 'backup')
  }
  const bootId = scenario.boot
  const faults = { directory: root, calls: 'wsd', file: root, state: counter.file, bootId, ...fault, at }
  const agent = start(t, 'scenario', args, { env: environment(faults) })
  const said = await agent.all()
  const end = await agent.exited
  const { calls, met } = counter.read()
  fs.rmSync(counter.file)
  return { root, args, said, end, calls, met }
}

/** What is wrong with what the process was told. */
function judgeErrors ({ said, end, met, args }, fault) {
  const problems = []
  const isKilled = /kill|torn/.test(fault.do)
  if (end.signal === 'SIGKILL' ? !isKilled : end.code !== 0) {
    problems.push(`ended with ${end.signal ?? end.code}: ${end.stderr}`)
  }
  const allowed = CODES[fault.do] ?? []
  for (const line of said) {
    const code = line.code ?? line.notOpened
    // A checkpoint for which there was no room is missed by writes that were acknowledged before.
    const isMissed = args.options === RELAXED && fault.do === 'enospc' && code === 'ERR_IO' &&
      /^an earlier write to this store failed \(no space left/.test(line.message)
    if (code !== undefined && !allowed.includes(code) && !isMissed) problems.push(`${code}: ${line.message}`)
    if (line.wentBack !== undefined && !mayGoBack(args, fault)) problems.push('went back to a checkpoint')
    if (line.failed !== undefined) judgeFailure(line, fault, problems)
    if (line.reopened !== undefined) judgeReopened(line, fault, allowed, problems)
  }
  const mustEnd = !isKilled && (!args.forever || met === 0)
  if (mustEnd && !said.at(-1)?.ended) problems.push(`gave up: ${JSON.stringify(said.at(-1))}`)
  return problems
}

/** Relaxed writes that no checkpoint covers yet go back where a sync has failed. */
const mayGoBack = ({ options }, fault) => options === RELAXED && fault.do === 'eio'

/** After an error in a commit nobody knows what is on the disk: no write until it is opened again. */
function judgeFailure ({ code, reads, writes }, fault, problems) {
  if (reads !== 'ok') problems.push(`reads end with ${reads} after ${code}`)
  const wanted = code === 'ERR_IO' ? ['ERR_IO'] : fault.forever ? ['ERR_NO_SPACE'] : ['ok']
  if (!wanted.includes(writes)) problems.push(`after ${code} a write is answered ${writes}`)
}

function judgeReopened ({ reopened, writes }, fault, allowed, problems) {
  if (typeof reopened !== 'number') problems.push(`after opening again, the state is ${reopened}`)
  const wanted = fault.forever ? allowed : ['ok']
  if (!wanted.includes(writes)) problems.push(`opened again, a write is answered ${writes}`)
}

/** What must be there, from what the process had said. */
function expectation ({ said, args }) {
  const starts = [...args.starts, ...said.flatMap((line) => line.starts ?? [])]
  const least = said.reduce((least, { done, starts }) =>
    done !== undefined ? done + 1 : starts ?? least, args.from)
  const most = said.reduce((most, { begins }) => (begins === undefined ? most : begins + 1), args.from)
  const isReopened = said.findLast((line) => line.begins !== undefined || line.starts !== undefined)
  return { name: args.name, starts, least, most: isReopened?.starts === undefined ? Math.max(least, most) : least }
}

async function examine (result, fault, checker) {
  const { root, args, said } = result
  const expected = expectation(result)
  const least = mayGoBack(args, fault) ? args.from : expected.least
  const ask = async (path, readOnly) => {
    const writers = [{ ...expected, least }]
    const request = { path, seed: args.seed, writers, options: { readOnly } }
    const { problems, crash, found, wentBackTo } = await checker.ask(request)
    if (problems === undefined) return [`the process that opened it died: ${crash}`]
    const isLost = found?.[args.name]?.at(-1) < expected.least && wentBackTo === undefined
    return isLost ? [...problems, `lost: after step ${found[args.name]} of ${expected.least}`] : problems
  }
  const problems = (await ask(args.path, false)).map((text) => `the store ${text}`)
  for (const kind of args.backup && fs.existsSync(args.backup) ? fs.readdirSync(args.backup) : []) {
    const target = path.join(args.backup, kind)
    const isDone = said.some((line) => line.backup === target && line.code === undefined)
    const found = await ask(target, true)
    const isRefused = /cannot be opened: (ERR_CORRUPT|ERR_NOT_FOUND)/.test(found[0])
    if (found.length > 0 && (isDone || !isRefused)) problems.push(`the copy ${found.join('; ')}`)
  }
  fs.rmSync(root, { recursive: true })
  return problems
}

/** The numbers of the calls that meet the fault. */
function numbers (calls, sparse, random) {
  if (isFull) return Array.from({ length: Math.ceil(calls / sparse) }, (_, n) => 1 + n * sparse)
  return [1 + random.below(calls)]
}

/** How many calls of the kind there are without a fault. */
async function callsOf (t, work, { calls: kinds = 'wsd' }) {
  work.calls[kinds] ??= (await run(t, { ...work, fault: { calls: kinds }, at: 0 })).calls
  return work.calls[kinds]
}

/** Every number of one fault, two processes at a time. */
async function countThrough (t, work, fault, checkers, random) {
  const calls = await callsOf(t, work, fault)
  const queue = numbers(calls, work.scenario.sparse ?? 1, random)
  const totals = { runs: 0, met: 0, problems: [] }
  const one = async (at, checker) => {
    const result = await run(t, { ...work, fault, at })
    const problems = [...judgeErrors(result, fault), ...await examine(result, fault, checker)]
    totals.runs += 1
    totals.met += Math.min(1, result.met)
    totals.problems.push(...problems.map((text) => `call ${at} of ${calls}: ${text}`))
    // Threads do not always do the same: until it runs clean.
    if (isFull && queue.length === 0 && result.met > 0) queue.push(at + 1)
  }
  await Promise.all(checkers.map(async (checker) => {
    while (queue.length > 0) await one(queue.shift(), checker)
  }))
  return totals
}

/** All of them, or those that the fast part has time for. */
function chosenFaults (random) {
  const all = Object.entries(FAULTS)
  const first = random.below(all.length)
  return isFull ? all : [0, 3, 6].map((n) => all[(first + n) % all.length])
}

/**
 * Makes the store that the runs begin with, and says after which step it is. One that is to be
 * recovered was left under another boot in the middle of relaxed writes.
 */
async function prepare (t, { directory, base, seed, scenario, checker }) {
  const { writer, isNew, options, recovers } = scenario
  if (isNew) return 0
  const steps = 20
  const boot = recovers && bootId(directory, 'a')
  const fault = recovers ? { do: 'kill', calls: 'w' } : {}
  const prepared = { writer, steps: recovers ? 1_000 : steps, isNew: true, options, boot }
  const { root } = await run(t, { directory, seed, scenario: prepared, fault, at: recovers ? 60 : 0 })
  fs.cpSync(root, base, { recursive: true })
  if (!recovers) return steps
  const writers = [{ name: writer, starts: [], least: 0, most: 1_000 }]
  const { problems, found, wentBackTo } =
    await checker.ask({ path: path.join(root, 'store'), seed, writers })
  assert.deepEqual(problems, [])
  assert.ok(wentBackTo > 0, 'the store was recovered')
  return found[writer].at(-1)
}

for (const [title, scenario] of Object.entries(SCENARIOS)) {
  test(`${title}: a fault at every call`, options, async (t) => {
    const random = seededRandom(t)
    const directory = workshop(t)
    const seed = random.below(2 ** 32)
    const base = path.join(directory, 'base')
    const boot = bootId(directory, 'b')
    const env = environment({ bootId: boot })
    const checkers = [startServer(t, 'checker', { env }), startServer(t, 'checker', { env })]
    const from = await prepare(t, { directory, base, seed, scenario, checker: checkers[0] })
    const work = { base, directory, seed, scenario: { ...scenario, from, boot }, calls: {} }
    const problems = []
    const counts = {}
    for (const [name, fault] of chosenFaults(random)) {
      const totals = await countThrough(t, work, fault, checkers, random)
      counts[name] = totals.met
      problems.push(...totals.problems.map((text) => `${name}: ${text}`))
    }
    for (const checker of checkers) await checker.stop()
    publish(t, `fault at every call: ${title}`, { ...counts, problems: problems.length }, random.seed)
    assert.deepEqual(problems, [])
  })
}
