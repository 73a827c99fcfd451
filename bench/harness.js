'use strict'

// Runs one case of a row: every peer prepares the same data, the answers are compared, then the
// peers take turns A B C, B C A ... so that a disturbance of the machine falls on all alike.

const { fork } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { summarize } = require('./statistics')

const ROUND_MS = 100
const TURN_LIMIT_MS = 180_000

// In a group of its own a contestant can be ended with the servers and processes it has started.
const OWN_GROUP = process.platform !== 'win32'

/** The peer's process: `take(turn)` resolves with its result or rejects with the reason. */
class Contestant {
  constructor (rowFile, caseName, peerName, directory) {
    this.name = peerName
    this.directory = fs.mkdtempSync(path.join(directory, `${peerName}-`))
    const script = path.join(__dirname, 'contestant.js')
    const peerFile = path.join(__dirname, 'peers', peerName)
    this.process = fork(script, [rowFile, caseName, peerFile, this.directory], {
      execArgv: ['--expose-gc', ...(process.env.BENCH_NODE_OPTIONS?.split(' ') ?? [])],
      detached: OWN_GROUP
    })
    this.ended = new Promise(resolve => {
      this.process.once('exit', (code, signal) => resolve(signal ?? code))
    })
  }

  take (turn, options) {
    return new Promise((resolve, reject) => {
      const late = () => reject(new Error(`${turn}: no answer in ${TURN_LIMIT_MS} ms`))
      const timer = setTimeout(late, TURN_LIMIT_MS)
      const answer = ({ error, result }) => {
        clearTimeout(timer)
        if (error) reject(new Error(error))
        else resolve(result)
      }
      this.process.once('message', answer)
      this.ended.then(reason => answer({ error: `${turn}: the process ended (${reason})` }))
      if (this.process.connected) this.process.send({ turn, ...options })
    })
  }

  async remove () {
    if (this.process.connected) await this.take('finish').catch(() => this.process.kill('SIGKILL'))
    await this.ended
    if (OWN_GROUP) endGroup(this.process.pid)
    fs.rmSync(this.directory, { recursive: true, force: true })
  }
}

/** What a contestant that was killed has left running. */
function endGroup (pid) {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch (error) {
    if (error.code !== 'ESRCH') throw error
  }
}

/** A reason in one line: a missing package or the first line of an error. */
const reasonOf = error => error.message
  .split('\n')
  .find(line => line.trim() !== '')
  .replace(/^Error: /, '')

const productOf = row => row.product ?? 'commonhold'

/** Prepares every peer; one that cannot be loaded, opened or filled is skipped with its reason. */
async function prepareAll (contestants, skipped) {
  const ready = []
  for (const contestant of contestants) {
    try {
      Object.assign(contestant, await contestant.take('prepare'))
      ready.push(contestant)
    } catch (error) {
      skipped.push({ peer: contestant.name, reason: reasonOf(error) })
    }
  }
  return ready
}

function requireEqualAnswers (contestants) {
  const digests = contestants.filter(one => one.digest !== undefined)
  const different = digests.filter(one => one.digest !== digests[0].digest)
  if (different.length > 0) {
    const names = different.map(one => one.name).join(', ')
    throw new Error(`${names} answered differently from ${digests[0].name}: nothing was timed`)
  }
}

/** The results of every round by peer: a time, or several measures by their names. */
async function takeRounds (contestants, rounds) {
  const samples = new Map(contestants.map(one => [one.name, []]))
  for (let index = 0; index < rounds; index++) {
    for (let turn = 0; turn < contestants.length; turn++) {
      const contestant = contestants[(index + turn) % contestants.length]
      const result = await contestant.take('round', { operations: contestant.operations })
      samples.get(contestant.name).push(result)
    }
  }
  return samples
}

/** Times of every peer in nanoseconds per unit, and its ratios to the product, round by round. */
function summarizeRounds (contestants, samples, productName, perUnit) {
  const product = samples.get(productName)
  const measured = contestants.filter(({ name }) => samples.get(name).every(Number.isFinite))
  return measured.map(({ name, label, version, operations }) => {
    const rounds = samples.get(name).map(nanoseconds => nanoseconds / perUnit)
    const ratios = product && rounds.map((nanoseconds, i) => nanoseconds * perUnit / product[i])
    return {
      peer: name,
      product: name === productName,
      label,
      version,
      operationsPerRound: operations,
      nanoseconds: summarize(rounds),
      timesOfProduct: ratios && summarize(ratios),
      rounds: rounds.map(Math.round)
    }
  })
}

/** Whether a target of the row holds for these results; undefined where its peers are absent. */
function judge (target, peers) {
  if (target.atMostUs !== undefined) {
    const measured = peers.find(one => one.product).nanoseconds.median / 1e3
    return { ...target, measured, met: measured <= target.atMostUs }
  }
  const candidates = peers.filter(one => target.peers.includes(one.peer) && one.timesOfProduct)
  if (candidates.length === 0) return { ...target }
  const best = candidates.reduce((a, b) => a.nanoseconds.median < b.nanoseconds.median ? a : b)
  const ratio = best.timesOfProduct.median
  const measured = target.atMost === undefined ? ratio : 1 / ratio
  const met = target.atMost === undefined ? measured >= target.atLeast : measured <= target.atMost
  return { ...target, best: best.peer, measured, met }
}

/** The results of a case, one for each of its measures; most cases have only their time. */
function summarizeCase (row, contest, contestants, samples, skipped) {
  const measures = contest.measures ?? [{ of: 'nanoseconds', targets: contest.targets }]
  return measures.map(measure => {
    const values = new Map()
    for (const [name, results] of samples) values.set(name, results.map(one => one[measure.of]))
    const peers = summarizeRounds(contestants, values, productOf(row), contest.perUnit ?? 1)
    const targets = (measure.targets ?? []).map(target => judge(target, peers))
    const name = contest.measures ? `${contest.name}, ${measure.of}` : contest.name
    return { case: name, unit: contest.unit, peers, targets, skipped }
  })
}

async function runCase (rowFile, row, contest, { rounds, directory }) {
  const skipped = []
  const contestants = []
  try {
    for (const peer of row.peers) {
      contestants.push(new Contestant(rowFile, contest.name, peer, directory))
    }
    const ready = await prepareAll(contestants, skipped)
    const product = skipped.find(one => one.peer === productOf(row))
    if (product) throw new Error(`the product: ${product.reason}`)
    requireEqualAnswers(ready)
    for (const one of ready) Object.assign(one, await one.take('warmUp', { roundMs: ROUND_MS }))
    const samples = await takeRounds(ready, rounds)
    return summarizeCase(row, contest, ready, samples, skipped)
  } finally {
    await Promise.all(contestants.map(one => one.remove()))
  }
}

/** Runs a row and returns its results; `onCase` hears of each case as it is done. */
async function runRow (rowFile, { rounds, onCase }) {
  const row = require(rowFile)
  const parent = process.env.BENCH_DIRECTORY ?? os.tmpdir()
  const directory = fs.mkdtempSync(path.join(parent, 'commonhold-bench-'))
  const cases = []
  try {
    for (const contest of row.cases) {
      const results = await runCase(rowFile, row, contest, { rounds, directory })
      cases.push(...results)
      for (const result of results) onCase(row, result)
    }
  } finally {
    fs.rmSync(directory, { recursive: true, force: true })
  }
  return { row: row.id, title: row.title, cases }
}

module.exports = { runRow }
