'use strict'

// Runs one case of a row: every peer prepares the same data, the answers are compared, then the
// peers take turns A B C, B C A ... so that a disturbance of the machine falls on all alike. What a
// row can verify afterwards (that nothing was lost) is verified before any figure is believed.

const { fork } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { emptyCase, productOf, summarizeCase } = require('./summary')

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
      const answer = ({ error, missing, result }) => {
        clearTimeout(timer)
        if (error) reject(Object.assign(new Error(error), { missing }))
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
  .replace(/^(Error: )+/, '')

/** A build of the product, in any of its modes. */
const isOurs = name => name.startsWith('commonhold')

/**
 * Gives each contestant the turn, and returns those that took it. A peer that fails is skipped with
 * its reason; the product must not fail, and is skipped only for what it does not have yet.
 */
async function takeTurns (contestants, skipped, take) {
  const able = []
  for (const contestant of contestants) {
    try {
      await take(contestant)
      able.push(contestant)
    } catch (error) {
      const reason = reasonOf(error)
      const { name } = contestant
      if (isOurs(name) && !error.missing) throw new Error(`${name}: ${reason}`)
      skipped.push({ peer: name, reason })
    }
  }
  return able
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
async function takeRounds (contestants, rounds, skipped) {
  const samples = new Map(contestants.map(one => [one.name, []]))
  let able = contestants
  for (let index = 0; index < rounds; index++) {
    const first = index % contestants.length
    const inTurn = contestants.slice(first).concat(contestants.slice(0, first))
    const racing = inTurn.filter(one => able.includes(one))
    able = await takeTurns(racing, skipped, async contestant => {
      const result = await contestant.take('round', { operations: contestant.operations })
      samples.get(contestant.name).push(result)
    })
  }
  return { samples, finished: contestants.filter(one => able.includes(one)) }
}

async function runCase (rowFile, row, contest, { rounds, directory }) {
  const skipped = []
  const contestants = []
  const takeTurn = (turn, options) => async one => Object.assign(one, await one.take(turn, options))
  try {
    for (const peer of contest.peers ?? row.peers) {
      contestants.push(new Contestant(rowFile, contest.name, peer, directory))
    }
    let able = await takeTurns(contestants, skipped, takeTurn('prepare'))
    const product = productOf(row, contest)
    if (skipped.some(one => one.peer === product)) return emptyCase(contest, { skipped })
    requireEqualAnswers(able)
    able = await takeTurns(able, skipped, takeTurn('warmUp', { roundMs: ROUND_MS }))
    const count = Math.min(rounds, contest.rounds ?? rounds)
    const { samples, finished } = await takeRounds(able, count, skipped)
    const verified = contest.verify
      ? await takeTurns(finished, skipped, takeTurn('verify'))
      : finished
    return summarizeCase(row, contest, verified, samples, skipped)
  } catch (error) {
    return emptyCase(contest, { skipped, failed: reasonOf(error) })
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
