'use strict'

// node waiters.js [--waiters N] [--rounds N]: what many pending `waitFor` of one process cost, in
// memory, in idle time, until all are woken, and to a writer in another process that writes keys
// nobody waits for.

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const v8 = require('node:v8')
const vm = require('node:vm')
const { setTimeout: sleep } = require('node:timers/promises')
const { parseArgs } = require('node:util')
const { openStore } = require('..')
const { now } = require('./arrivals')
const { startCompanion } = require('./companion')
const { describeMachine } = require('./machine')
const { printCase, writeJson } = require('./report')
const { summarize } = require('./statistics')

const IDLE_SECONDS = 10
const SETS = 200
// Longer than the waiting thread outlives the last who waits.
const QUIET_MS = 1500

// ------------------------------------------------------------------ the process that waits

v8.setFlagsFromString('--expose-gc')
const collectGarbage = vm.runInNewContext('gc')

/** Bytes of this process that no other shares, where the system tells. */
function privateBytes () {
  if (process.platform !== 'linux') return undefined
  const rollup = fs.readFileSync('/proc/self/smaps_rollup', 'utf8')
  const kilobytes = name => Number(new RegExp(`^${name}: +(\\d+)`, 'm').exec(rollup)[1])
  return (kilobytes('Private_Clean') + kilobytes('Private_Dirty')) * 1024
}

function processorUs () {
  const { user, system } = process.cpuUsage()
  return user + system
}

async function waiter ({ directory }) {
  const namespace = openStore({ path: directory, agent: 'waiter' }).useNamespace('bench')
  let pending
  const startWaiting = (count, options) => {
    const start = now()
    pending = Array.from({ length: count }, (_, i) => namespace.waitFor(`awaited:${i}`, options))
    return now() - start
  }
  return {
    memory () {
      collectGarbage()
      return { rssBytes: process.memoryUsage.rss(), privateBytes: privateBytes() }
    },
    /** Begins to wait for so many keys; returns how long that took. */
    wait: count => startWaiting(count),
    /** Processor time of each of some seconds. */
    async idle () {
      const seconds = []
      for (let i = 0; i < IDLE_SECONDS; i++) {
        const before = processorUs()
        await sleep(1000)
        seconds.push(processorUs() - before)
      }
      return seconds
    },
    processorUs,
    /** When the last of them was woken. */
    async woken () {
      await Promise.all(pending)
      return now()
    },
    /** The same with one AbortSignal for all, which then aborts them. */
    async abortAll (count) {
      const controller = new AbortController()
      const startNs = startWaiting(count, { signal: controller.signal })
      const start = now()
      controller.abort()
      await Promise.allSettled(pending)
      return { startNs, abortNs: now() - start }
    }
  }
}

// ------------------------------------------------------------------ the process that writes

async function writer ({ directory }) {
  const namespace = openStore({ path: directory, agent: 'writer' }).useNamespace('bench')
  let sets = 0
  return {
    setAll (count) {
      const entries = Array.from({ length: count }, (_, i) => [`awaited:${i}`, { ready: true }])
      const calledAt = now()
      namespace.setMany(entries)
      return { calledAt, returnedAt: now() }
    },
    removeAll: () => namespace.clear({ prefix: 'awaited:' }),
    /** Nanoseconds per set of keys that nobody waits for. */
    setOthers () {
      const start = now()
      for (let i = 0; i < SETS; i++) namespace.set(`other:${i}`, { count: sets++ })
      return (now() - start) / SETS
    }
  }
}

// ------------------------------------------------------------------ the measurements

async function measureMemory (waiter, count) {
  const idleBefore = await waiter.ask('idle')
  const before = await waiter.ask('memory')
  const startNs = await waiter.ask('wait', count)
  const after = await waiter.ask('memory')
  const idle = await waiter.ask('idle')
  const grown = name => (after[name] - before[name]) / count
  return {
    startNs: startNs / count,
    rssBytes: grown('rssBytes'),
    privateBytes: grown('privateBytes'),
    idle,
    idleBefore
  }
}

/** Everybody who waits is woken by one setMany. Returns nanoseconds for all. */
async function measureWaking (waiter, writer, count) {
  const woken = waiter.ask('woken')
  const { calledAt, returnedAt } = await writer.ask('setAll', count)
  const lastAt = await woken
  await writer.ask('removeAll')
  return { write: returnedAt - calledAt, wakeAfterReturn: lastAt - returnedAt }
}

/** A writer's time per set, and what each of its sets costs the process that waits. */
async function measureWriter (waiter, writer, count) {
  await waiter.ask('wait', count)
  await sleep(QUIET_MS)
  const before = await waiter.ask('processorUs')
  const nanoseconds = await writer.ask('setOthers')
  const waiterNs = (await waiter.ask('processorUs') - before) * 1000 / SETS
  await measureWaking(waiter, writer, count)
  return { nanoseconds, waiterNs }
}

/** One table with several numbers of waiters as its contestants, the greatest being the product. */
function tableOf (name, counts, samples, of) {
  const product = samples.get(counts.at(-1)).map(one => one[of])
  const peers = counts.map(count => {
    const rounds = samples.get(count).map(one => one[of])
    return {
      peer: `waiters-${count}`,
      product: count === counts.at(-1),
      label: count === 0 ? 'nobody waits' : `${count} waiting`,
      version: '',
      nanoseconds: summarize(rounds),
      timesOfProduct: summarize(rounds.map((nanoseconds, i) => nanoseconds / product[i])),
      rounds: rounds.map(Math.round)
    }
  })
  return { case: name, unit: 'set', peers, targets: [], skipped: [] }
}

async function measureAll (waiter, writer, { count, rounds }) {
  const memory = await measureMemory(waiter, count)
  const waking = [await measureWaking(waiter, writer, count)]
  for (let i = 1; i < rounds; i++) {
    await waiter.ask('wait', count)
    waking.push(await measureWaking(waiter, writer, count))
  }
  const aborting = []
  for (let i = 0; i < rounds; i++) aborting.push(await waiter.ask('abortAll', count))
  const counts = [0, 1, count]
  const samples = new Map(counts.map(count => [count, []]))
  for (let i = 0; i < rounds; i++) {
    for (let turn = 0; turn < counts.length; turn++) {
      const count = counts[(i + turn) % counts.length]
      samples.get(count).push(await measureWriter(waiter, writer, count))
    }
  }
  return { memory, waking, aborting, counts, samples }
}

const ms = list => {
  const { median, lowerQuartile, upperQuartile } = summarize(list.map(value => value / 1e6))
  return `${median.toFixed(1)} ms (${lowerQuartile.toFixed(1)} - ${upperQuartile.toFixed(1)})`
}
const kib = bytes => `${(bytes / 1024).toFixed(2)} KiB`
/** The share of a core: of all seconds, and of the median second, in which V8 collects nothing. */
function shareOf (seconds) {
  const percent = us => `${(us / 1e4).toFixed(3)} %`
  const mean = seconds.reduce((sum, us) => sum + us, 0) / seconds.length
  return `${percent(mean)} of a core (median second ${percent(summarize(seconds).median)})`
}

function print ({ memory, waking, aborting }, count) {
  const { privateBytes, rssBytes, startNs, idle, idleBefore } = memory
  console.log(`\n${count} pending waitFor
  memory of each: ${kib(privateBytes)} private, ${kib(rssBytes)} resident
  start of each: ${(startNs / 1e3).toFixed(1)} us
  idle for ${IDLE_SECONDS} s: ${shareOf(idle)}; before them ${shareOf(idleBefore)}
  setMany of all their keys: ${ms(waking.map(one => one.write))}
  all woken after its return: ${ms(waking.map(one => one.wakeAfterReturn))}
  with one AbortSignal, start of all: ${ms(aborting.map(one => one.startNs))}
  abort of all: ${ms(aborting.map(one => one.abortNs))}`)
}

async function main () {
  const { values } = parseArgs({
    options: {
      waiters: { type: 'string', default: '10000' },
      rounds: { type: 'string', default: '9' }
    }
  })
  const [count, rounds] = [Number(values.waiters), Number(values.rounds)]
  const parent = process.env.BENCH_DIRECTORY ?? os.tmpdir()
  const directory = fs.mkdtempSync(path.join(parent, 'commonhold-bench-'))
  const date = new Date().toISOString()
  const machine = describeMachine()
  const processes = await Promise.all(
    ['waiter', 'writer'].map(role => startCompanion(__filename, role, { directory })))
  try {
    const measured = await measureAll(...processes, { count, rounds })
    const { memory, waking, aborting, counts, samples } = measured
    print(measured, count)
    const row = { id: 'waiters', title: 'sets of keys that nobody waits for' }
    const cases = [
      tableOf('time of the writer', counts, samples, 'nanoseconds'),
      tableOf('processor time of who waits', counts, samples, 'waiterNs')
    ]
    for (const one of cases) printCase(row, one)
    const rows = [{ row: row.id, title: row.title, cases, memory, waking, aborting }]
    console.log(`\nevery round is in ${writeJson({ date, machine, count, rounds, rows })}`)
  } finally {
    await Promise.all(processes.map(one => one.end()))
    fs.rmSync(directory, { recursive: true, force: true })
  }
}

module.exports = { roles: { waiter, writer } }

if (require.main === module) {
  main().catch(error => {
    console.error(error.message)
    process.exitCode = 1
  })
}
