'use strict'

// A process is stopped (SIGSTOP) before the N-th of its calls, for every N: while it opens the store
// and in every phase of its commits. The others read, and their writes are done or end with ERR_BUSY,
// which names the process. When it goes on, nothing is lost.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { seededRandom } = require('../__test__/support/random')
const { callCounter, environment, interposer } = require('./support/interposer')
const { isFull, publish } = require('./support/figures')
const { start, startServer } = require('./support/processes')
const { workshop } = require('./support/power')

const BUSY_TIMEOUT_MS = 100
// Whoever has no answer by then is taken to wait without end.
const PATIENCE_MS = 5_000

/** Resolves when the process has come to a stop, which is some microseconds after it said so. */
async function isStopped (pid) {
  const state = () => /\) (\w)/.exec(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))[1]
  while (state() !== 'T') await new Promise((resolve) => setImmediate(resolve))
}

/** What a neighbour answers, perhaps only after the stopped process was let go. */
async function answerOf (neighbour, letGo) {
  let isLate = false
  const timer = setTimeout(() => {
    isLate = true
    letGo()
  }, PATIENCE_MS)
  const answer = await neighbour.next()
  clearTimeout(timer)
  return { ...answer, isLate }
}

/** Stops a writer at its call `at` and has the neighbours try. */
async function stopAt (t, { directory, base, seed, at, checker }) {
  const root = fs.mkdtempSync(path.join(directory, 'run-'))
  if (base) fs.cpSync(base, root, { recursive: true })
  const store = path.join(root, 'store')
  const options = { busyTimeout: BUSY_TIMEOUT_MS }
  const isThere = base !== undefined
  const beside = isThere ? start(t, 'neighbour', { path: store, options, isOpen: true }) : undefined
  await beside?.next()
  const counter = callCounter(path.join(directory, `calls ${path.basename(root)}`))
  const faults = { directory: root, calls: 'wsd', do: 'stop', state: counter.file, at }
  const writer = { name: 'set', from: isThere ? 20 : 0, starts: isThere ? [20] : [] }
  const agent = start(t, 'scenario', { path: store, seed, ...writer, steps: 4 }, { env: environment(faults) })
  const said = []
  let line
  while ((line = await agent.next()) && !line.stops) said.push(line)
  const answers = []
  if (line?.stops) {
    await isStopped(agent.pid)
    const newcomer = start(t, 'neighbour', { path: store, options })
    await newcomer.next()
    for (const neighbour of [beside, newcomer].filter(Boolean)) {
      neighbour.tell(`at ${at}`)
      answers.push(await answerOf(neighbour, () => agent.kill('SIGCONT')))
    }
    agent.kill('SIGCONT')
    newcomer.child.stdin.end()
    await newcomer.exited
  }
  said.push(...await agent.all())
  beside?.child.stdin.end()
  await beside?.exited
  const { calls } = counter.read()
  const problems = judge(answers, agent.pid)
  if (!said.at(-1)?.ended) problems.push(`the stopped one ended with ${JSON.stringify(said.at(-1))}`)
  const end = writer.from + 4
  const expected = { ...writer, least: end, most: end }
  problems.push(...(await checker.ask({ path: store, seed, writers: [expected], isShared: true })).problems)
  fs.rmSync(root, { recursive: true })
  return { problems, calls, answers, isStopped: line?.stops }
}

function judge (answers, pid) {
  const problems = []
  for (const { opens, read, writes, isLate } of answers) {
    if (isLate) problems.push(`waits without end: ${JSON.stringify({ opens, writes })}`)
    for (const [what, answer] of Object.entries({ opens, writes })) {
      if (answer === undefined || answer.code === 'ok') continue
      if (answer.code !== 'ERR_BUSY') problems.push(`${what}: ${answer.code} ${answer.message}`)
      // Who has just begun to open the store has not said yet who he is.
      else if (what === 'opens' && /not known which/.test(answer.message)) continue
      else if (!answer.message.includes(String(pid))) problems.push(`${what}: does not name ${pid}: ${answer.message}`)
    }
    if (read !== undefined && read.code !== 'ok') problems.push(`read: ${read.code} ${read.message}`)
  }
  return problems
}

for (const [title, isNew] of [['while it creates and opens a store', true], ['while it opens and commits', false]]) {
  test(`a process stopped ${title} holds up nobody beyond busyTimeout`, { skip: interposer().reason, timeout: 600_000 }, async (t) => {
    const random = seededRandom(t)
    const seed = random.below(2 ** 32)
    const directory = workshop(t)
    const base = path.join(directory, 'base')
    fs.mkdirSync(base, { mode: 0o700 })
    await start(t, 'scenario', { path: path.join(base, 'store'), seed, name: 'set', from: 0, starts: [], steps: 20 }).all()
    const checker = startServer(t, 'checker')
    const work = { directory, base: isNew ? undefined : base, seed, checker }
    const { calls } = await stopAt(t, { ...work, at: 0 })
    const numbers = Array.from({ length: calls }, (_, n) => n + 1)
    const chosen = isFull ? numbers : Array.from({ length: 5 }, () => random.pick(numbers))
    const counts = { stops: 0, 'answered ERR_BUSY': 0, done: 0, 'ms waited at most': 0 }
    const problems = []
    for (const at of chosen) {
      const result = await stopAt(t, { ...work, at })
      counts.stops += result.isStopped ? 1 : 0
      for (const { opens, writes } of result.answers) {
        counts[(writes ?? opens).code === 'ok' ? 'done' : 'answered ERR_BUSY'] += 1
        const waited = Math.ceil(Math.max(opens.ms, writes?.ms ?? 0))
        counts['ms waited at most'] = Math.max(counts['ms waited at most'], waited)
      }
      problems.push(...result.problems.map((text) => `call ${at} of ${calls}: ${text}`))
    }
    await checker.stop()
    publish(t, `SIGSTOP ${title} (busyTimeout ${BUSY_TIMEOUT_MS} ms)`, counts, random.seed)
    assert.deepEqual(problems, [])
    assert.ok(counts['answered ERR_BUSY'] > 0, 'some stops were in the way of others')
  })
}
