'use strict'

// Lets writers work under a journal, cuts the power at many points of it, and has the disks that may
// be left looked at.

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { environment } = require('./interposer')
const { Disk, FATES, writeImage } = require('./disk')
const { readJournal } = require('./journal')
const { start } = require('./processes')

// In memory where that is possible: a cut costs nothing then, and no sync takes its time.
const PLACE = fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir()
// The files whose bytes a process changes through a map, past the journal. After a cut they may be
// anything.
const VOLATILE = /(^|\/)(lock\.mdb|wake|[a-z]+\.lock|processes\/[^/]+)$/

/** A directory for journals and images, removed after the test. */
function workshop (t) {
  const directory = fs.mkdtempSync(path.join(PLACE, 'commonhold-power-'))
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** A file that is read as the boot id of the machine. */
function bootId (directory, name) {
  const file = path.join(directory, `boot ${name}`)
  const digits = Buffer.from(name.repeat(16)).toString('hex')
  const id = [8, 4, 4, 4, 12].map((length, n) => digits.slice(n * 2, n * 2 + length)).join('-')
  fs.writeFileSync(file, `${id}\n`)
  return file
}

/**
 * Runs writers at `root`/store until they end or are killed. Returns the disk before, the journal,
 * and what the writers said with its place in it.
 */
async function runWriters (t, how) {
  const { directory, root, boot, seed, writers, options, env, lie, syncUs, oneByOne } = how
  const disk = new Disk(root)
  const journal = path.join(directory, 'journal')
  fs.writeFileSync(journal, '')
  fs.mkdirSync(path.join(root, 'said'), { recursive: true, mode: 0o700 })
  const run = (writer) => {
    const file = path.join(root, 'said', writer.name)
    const { kill = {}, ...rest } = writer
    const args = { path: path.join(root, 'store'), file, seed, options, ...rest }
    const faults = { directory: root, journal, bootId: boot, lie, syncUs, ...kill }
    return start(t, 'writer', args, { env: environment(faults, env) }).exited
  }
  const ends = []
  if (oneByOne) for (const writer of writers) ends.push(await run(writer))
  else ends.push(...await Promise.all(writers.map(run)))
  for (const { code, signal, stderr } of ends) {
    // Where a fault was planted, the store may notice that something is wrong.
    const hasFailed = code !== 0 && signal !== 'SIGKILL'
    if (hasFailed && how.enough === undefined) throw new Error(`a writer failed: ${stderr}`)
  }
  const records = readJournal(journal)
  const killed = ends.filter(({ signal }) => signal === 'SIGKILL').length
  return { disk, records, said: readSaid(records), killed }
}

/** What the writers said: { at, timeMs, writer, ...line }. */
function readSaid (records) {
  const names = new Map()
  const said = []
  for (const [at, { kind, inode, path: file, data, timeMs }] of records.entries()) {
    if (kind === 'create' && path.basename(path.dirname(file)) === 'said') {
      names.set(inode, path.basename(file))
    }
    if (kind === 'write' && names.has(inode)) {
      said.push({ at, timeMs, writer: names.get(inode), ...JSON.parse(data) })
    }
  }
  return said
}

/**
 * What must be there after a cut before the record `end`, and what may be. Of a relaxed writer only
 * what it has flushed must be there for certain (judgeRelaxed says the rest).
 */
function expectations (writers, said, end) {
  const before = said.filter(({ at }) => at < end)
  const last = (own, field, none) => own.reduce((last, line) =>
    line[field] === undefined ? last : Math.max(last, line[field] + 1), none)
  const ofWriters = writers.map(({ name, from, starts, options }) => {
    const own = before.filter(({ writer }) => writer === name)
    const acknowledged = last(own, 'done', from)
    const isRelaxed = options?.durability === 'relaxed'
    const least = isRelaxed ? last(own, 'flushed', from) : acknowledged
    const most = Math.max(acknowledged, last(own, 'begins', from))
    return { name, starts, least, most, acknowledged }
  })
  return { writers: ofWriters, version: Math.max(0, ...before.map(({ version }) => version ?? 0)) }
}

/**
 * Points to cut at, in order: anywhere, or beside a sync or a change of names, or amid the first
 * records, which are those of opening, creating or recovering.
 */
function cutPoints (records, count, random) {
  const busy = records.flatMap(({ kind }, at) => (kind === 'write' ? [] : [at, at + 1]))
  const points = Array.from({ length: count }, (_, n) => {
    if (n % 4 === 0) return random.below(Math.min(60, records.length + 1))
    if (n % 4 === 1 && busy.length > 0) return random.pick(busy)
    return random.below(records.length + 1)
  })
  return points.sort((a, b) => a - b)
}

/** An image with the volatile files as they were, zeroed, or full of random bytes. */
function spoilVolatile (image, random) {
  const how = random.pick(['kept', 'zeroed', 'random'])
  if (how === 'kept') return image
  return image.map(([name, bytes]) => {
    if (bytes === undefined || !VOLATILE.test(name)) return [name, bytes]
    const other = Buffer.alloc(bytes.length)
    if (how === 'random') for (let at = 0; at < other.length; at++) other[at] = random.below(256)
    return [name, other]
  })
}

/**
 * Cuts the power at each point, once, with a fate of its own for what was not synced, and has the
 * store looked at. Returns one finding for each: { at, fate, problems, answer, expected, kept };
 * `kept` is a copy of the disk as it was after every `keepEvery`-th cut.
 */
async function cutAndCheck (how) {
  const { run, points, seed, writers, random, checker, directory, keepEvery, fates = FATES } = how
  const findings = []
  for (const [n, at] of points.entries()) {
    run.disk.play(run.records, at)
    const fate = random.pick(fates)
    const image = spoilVolatile(run.disk.image(fate, random), random)
      .filter(([name]) => name.split(path.sep)[0] === 'store')
    const root = path.join(directory, 'image')
    writeImage(image, root)
    const isKept = n % keepEvery === keepEvery - 1
    const kept = isKept ? fs.mkdtempSync(path.join(directory, 'kept-')) : undefined
    if (isKept) fs.cpSync(root, kept, { recursive: true })
    const expected = expectations(writers, run.said, at)
    const request = { path: path.join(root, 'store'), seed, checksAll: true, ...expected }
    const answer = await checker.ask(request)
    const problems = answer.problems ?? [`the process that opened it died: ${answer.crash}`]
    if (answer.version <= expected.version) problems.push('a version is handed out twice')
    findings.push({ at, fate, problems, answer, expected, kept })
    fs.rmSync(root, { recursive: true })
  }
  return findings
}

/**
 * Whether what relaxed writers left is the state of one commit. Each step lies between the versions
 * that its writer saw before and after it; what lies at or before the version to which the store
 * went back must be there, what lies after it must not. Without going back, all must be there.
 */
function judgeRelaxed ({ at, answer, expected }, said) {
  const problems = []
  const { found, wentBackTo = Infinity } = answer
  for (const { name, acknowledged } of expected.writers) {
    const [fewest, most] = found[name]
    if (wentBackTo === Infinity && most < acknowledged) {
      problems.push(`lost: ${name} is after step ${most} of ${acknowledged} and nothing went back`)
    }
    const before = new Map()
    for (const line of said.filter((line) => line.at < at && line.writer === name)) {
      if (line.begins !== undefined) before.set(line.begins, line.version)
      if (line.done === undefined) continue
      if (line.version <= wentBackTo && most <= line.done) problems.push(`no prefix: ${name} lacks step ${line.done}`)
      if (before.get(line.done) >= wentBackTo && fewest > line.done) problems.push(`no prefix: ${name} has step ${line.done}`)
    }
  }
  return problems
}

/**
 * For how many milliseconds before the cut, or before the end of its process, the oldest
 * acknowledged write that was lost had been acknowledged.
 */
function lossMs ({ at, answer, expected }, { records, said }) {
  const cutMs = records[Math.max(0, at - 1)].timeMs
  const losses = expected.writers.map(({ name }) => {
    const lost = said.find((line) => line.writer === name && line.at < at && line.done >= answer.found[name][1])
    if (lost === undefined) return 0
    const { pid } = records[lost.at]
    const endMs = records.findLast((record) => record.pid === pid).timeMs
    return Math.min(cutMs, endMs) - lost.timeMs
  })
  return Math.max(0, ...losses)
}

/** The longest time that a sync took in a journal. */
function longestSyncMs (records) {
  const begun = new Map()
  let longest = 0
  for (const { kind, token, timeMs } of records) {
    if (kind === 'sync-begin') begun.set(token, timeMs)
    if (kind === 'sync-end') longest = Math.max(longest, timeMs - begun.get(token))
  }
  return longest
}

module.exports = {
  bootId, cutAndCheck, cutPoints, judgeRelaxed, longestSyncMs, lossMs, runWriters, workshop
}
