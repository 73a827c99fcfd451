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
const VOLATILE = /(^|\/)(lock\.mdb|wake|processes\/[^/]+)$/

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
async function runWriters (t, { directory, root, boot, seed, writers, options, env, lie, syncUs }) {
  const disk = new Disk(root)
  const journal = path.join(directory, 'journal')
  fs.writeFileSync(journal, '')
  fs.mkdirSync(path.join(root, 'said'), { recursive: true, mode: 0o700 })
  const agents = writers.map((writer) => {
    const file = path.join(root, 'said', writer.name)
    const { kill = {}, ...rest } = writer
    const args = { path: path.join(root, 'store'), file, seed, options, ...rest }
    const faults = { directory: root, journal, bootId: boot, lie, syncUs, ...kill }
    return start(t, 'writer', args, { env: environment(faults, env) })
  })
  const ends = await Promise.all(agents.map(({ exited }) => exited))
  for (const { code, signal, stderr } of ends) {
    if (code !== 0 && signal !== 'SIGKILL') throw new Error(`a writer failed: ${stderr}`)
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

/** What must be there after a cut before the record `end`, and what may be. */
function expectations (writers, said, end) {
  const before = said.filter(({ at }) => at < end)
  const ofWriters = writers.map(({ name, from, starts }) => {
    const own = before.filter(({ writer }) => writer === name)
    const least = own.reduce((least, { done }) => (done === undefined ? least : done + 1), from)
    const most = own.reduce((most, { begins }) => (begins === undefined ? most : begins + 1), from)
    return { name, starts, least, most: Math.max(least, most) }
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
 * store looked at. Returns one finding for each: { at, fate, problems, found, kept }; `kept` is a
 * copy of the disk as it was after every `keepEvery`-th cut.
 */
async function cutAndCheck ({ run, points, seed, writers, random, checker, directory, keepEvery }) {
  const findings = []
  for (const [n, at] of points.entries()) {
    run.disk.play(run.records, at)
    const fate = random.pick(FATES)
    const image = spoilVolatile(run.disk.image(fate, random), random)
      .filter(([name]) => name.split(path.sep)[0] === 'store')
    const root = path.join(directory, 'image')
    writeImage(image, root)
    const kept = n % keepEvery === keepEvery - 1 ? fs.mkdtempSync(path.join(directory, 'kept-')) : undefined
    if (kept) fs.cpSync(root, kept, { recursive: true })
    const expected = expectations(writers, run.said, at)
    const answer = await checker.ask({ path: path.join(root, 'store'), seed, ...expected })
    const problems = answer.problems ?? [`the process that opened it died: ${answer.crash}`]
    if (answer.version <= expected.version) problems.push('a version is handed out twice')
    findings.push({ at, fate, problems, found: answer.found, kept })
    fs.rmSync(root, { recursive: true })
  }
  return findings
}

module.exports = { bootId, cutAndCheck, cutPoints, runWriters, workshop }
