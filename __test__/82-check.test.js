'use strict'

// `check` calls sound what is sound, also while others write, finds what is damaged, and changes
// nothing. Each kind of damage is planted in src/check/tests.rs; here is what the calls make of it.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { createHash } = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { check, openStore } = require('..')
const native = require('../lib/native')
const { rejectsCode, temporaryDirectory, throwsCode } = require('./support/store')
const { seededRandom } = require('./support/random')
const { startAgent } = require('./support/agents')

const script = path.join(__dirname, '..', 'lib', 'cli.js')
const notOnWindows = { skip: process.platform === 'win32' && 'POSIX signals and modes' }
const namespaces = spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true'])
const needsNamespaces = { skip: namespaces.status !== 0 && 'only root can make a pid namespace' }
const PAGE_BYTES = 4096

function run (args, env = process.env) {
  return spawnSync(process.execPath, [script, ...args], { encoding: 'utf8', env })
}

/** A closed store with something of everything. */
function sample (t, entries = 200) {
  const directory = path.join(temporaryDirectory(t), 'store')
  const store = openStore({ path: directory, agent: 'sampler' })
  for (const name of ['files', 'status']) {
    const values = Array.from({ length: entries }, (_, n) =>
      [`key ${n}`, { name, n, text: `<${name} ${n}>`.repeat(n % 40) }])
    store.useNamespace(name).setMany(values, { metadata: { name } })
    store.useNamespace(name).set('large', 'large '.repeat(3000))
    store.useNamespace(name).set('expiring', 'e', { ttl: 1e9 })
  }
  store.useNamespace('emptied').set('key', 1)
  store.useNamespace('emptied').clear()
  const queue = store.useQueue('work')
  queue.pushMany([{ page: 1 }, { page: 2 }, { page: 3 }, { page: 4 }])
  queue.push('later', { id: 'later', delay: 1e8 })
  queue.claim().complete({ done: 1 })
  queue.claim().fail(new Error('it broke'), { retryIn: 1e8 })
  store.close()
  return directory
}

const dataOf = (directory) => path.join(directory, 'data.mdb')

/** Replaces a text in the data file wherever it is, free pages included. */
function overwrite (directory, from, to) {
  const data = fs.readFileSync(dataOf(directory))
  let found = 0
  for (let at = data.indexOf(from); at >= 0; at = data.indexOf(from, at + 1), found++) {
    data.write(to, at, 'latin1')
  }
  assert.ok(found > 0, `${from} is in the file`)
  fs.writeFileSync(dataOf(directory), data)
}

/** Whether a file is part of what is stored, and not for the processes that have it open. One of
 *  them must not be read by a process that has the store open: LMDB's lock file. */
const isStored = (name) => !notStored.includes(name.split(path.sep)[0])
const notStored = ['lock.mdb', 'open.lock', 'processes', 'wake', 'writer.lock']

/** Name, mode, time, size and a digest of the files in a directory. */
function contentOf (directory, isMeant = () => true) {
  const names = fs.readdirSync(directory, { recursive: true }).filter(isMeant).sort()
  return names.map((name) => {
    const file = path.join(directory, name)
    const stat = fs.statSync(file)
    const bytes = stat.isFile() ? fs.readFileSync(file) : ''
    const digest = createHash('sha1').update(bytes).digest('hex')
    return [name, stat.mode, stat.mtimeMs, stat.size, digest].join(' ')
  })
}

function isSound (report) {
  assert.deepEqual(report.problems, [])
  assert.equal(report.status, 'sound')
  assert.deepEqual(report.advice, [])
}

// ---------------------------------------------------------------- sound

test('a store with something of everything is sound', async (t) => {
  const directory = sample(t)
  const report = await check(directory)
  isSound(report)
  const { figures } = report
  assert.equal(figures.fileBytes, fs.statSync(dataOf(directory)).size)
  assert.equal(figures.usedPages + figures.freePages + figures.leakedPages, figures.pages)
  assert.deepEqual(
    [figures.namespaces, figures.records, figures.expiringRecords, figures.queues, figures.tasks],
    [2, 404, 2, 1, 5])
  assert.deepEqual([report.unharmed, report.harmed], [['files', 'status'], []])
  assert.deepEqual(JSON.parse(JSON.stringify(report)), report)
})

test('a new store, an emptied one and copies are sound', async (t) => {
  const directory = temporaryDirectory(t)
  const store = openStore(path.join(directory, 'new'))
  isSound(await check(store.path))
  store.set('key', 1, { ttl: 1 })
  isSound(await check(store.path))
  store.useNamespace('default').clear()
  store.close()
  isSound(await check(store.path))
  const whole = openStore(sample(t))
  await whole.backup(path.join(directory, 'copy'))
  await whole.backup(path.join(directory, 'compact'), { compact: true })
  whole.close()
  for (const name of ['copy', 'compact']) isSound(await check(path.join(directory, name)))
})

test('5,000 namespaces are sound, and unharmed ones are counted', async (t) => {
  const store = openStore(path.join(temporaryDirectory(t), 'store'))
  for (let first = 0; first < 5000; first += 100) {
    store.transaction((tx) => {
      for (let n = first; n < first + 100; n++) tx.useNamespace(`job-${n}`).set('key', n)
    })
  }
  store.close()
  const report = await check(store.path)
  isSound(report)
  assert.equal(report.unharmedCount, 5000)
  assert.equal(report.figures.records, 5000)
})

test('a store is sound whenever it is checked while two processes write', async (t) => {
  const { seed } = seededRandom(t)
  const directory = path.join(temporaryDirectory(t), 'store')
  openStore(directory).close()
  const writers = [1, 2].map((n) =>
    startAgent(t, 'busy-writer', { path: directory, seed: (seed + n) % 2 ** 32 }))
  for (const writer of writers) assert.deepEqual(await writer.next(), { started: true })
  let before = 0
  for (let round = 0; round < 8; round++) {
    const report = await check(directory)
    isSound(report)
    assert.ok(report.inUse)
    assert.ok(report.version > before, `${report.version} ${before}`)
    before = report.version
  }
  for (const writer of writers) {
    writer.kill('SIGKILL')
    await writer.exited
  }
  const report = await check(directory)
  isSound(report)
  assert.ok(!report.inUse)
})

test('a process checks a store that it has open itself', async (t) => {
  const store = openStore(sample(t))
  const report = await check(store.path)
  isSound(report)
  assert.ok(report.inUse)
  assert.equal(report.version, store.stats().lastVersion)
  assert.equal(store.useNamespace('files').get('key 7').n, 7)
  assert.equal(store.stats().processes.length, 1, 'the check has left')
  store.close()
})

test('a check changes nothing', async (t) => {
  const directory = sample(t)
  for (const damage of [
    () => {},
    () => fs.rmSync(path.join(directory, 'lock.mdb')),
    () => fs.rmSync(path.join(directory, 'processes'), { recursive: true }),
    () => overwrite(directory, '<files 9>', '<FILES 9>'),
    () => fs.truncateSync(dataOf(directory), 8 * PAGE_BYTES),
    () => fs.truncateSync(dataOf(directory), 0),
    () => fs.rmSync(path.join(directory, 'commonhold.json'))
  ]) {
    damage()
    const before = contentOf(directory)
    await check(directory).catch(({ code }) => assert.equal(code, 'ERR_NOT_FOUND'))
    assert.deepEqual(contentOf(directory), before, String(damage))
  }
})

test('a check of a store in use changes no data', async (t) => {
  const directory = sample(t)
  const reader = openStore({ path: directory, readOnly: true })
  const before = contentOf(directory, isStored)
  isSound(await check(directory))
  assert.deepEqual(contentOf(directory, isStored), before)
  reader.close()
})

// ---------------------------------------------------------------- damaged

test('a damaged value is named, with what is unharmed and what to do', async (t) => {
  const directory = sample(t)
  overwrite(directory, '<status 9>', '<STATUS 9>')
  const report = await check(directory)
  assert.equal(report.status, 'damaged')
  const [problem] = report.problems
  assert.deepEqual(
    { ...problem, page: 0, message: '' },
    { kind: 'record', namespace: 'status', key: 'key 9', page: 0, message: '' })
  assert.ok(problem.page > 1)
  assert.deepEqual([report.harmed, report.unharmed], [['status'], ['files']])
  assert.deepEqual([report.problemCount, report.counts], [1, { record: 1 }])
  assert.match(report.advice.join('\n'), /backup\(\)/)
  assert.match(report.advice.join('\n'), /1 of 2 namespaces/)
  const reader = openStore({ path: directory, readOnly: true })
  throwsCode(() => reader.useNamespace('status').get('key 9'), 'ERR_CORRUPT')
  assert.equal(Object.keys(reader.useNamespace('files').getAll()).length, 202)
  reader.close()
})

test('of very many problems the first 1,000 are listed and all are counted', async (t) => {
  const directory = sample(t, 1500)
  overwrite(directory, '<files ', '<FILES ')
  const report = await check(directory)
  assert.equal(report.problems.length, 1000)
  // Every 40th value is empty.
  const damaged = 1500 - Math.ceil(1500 / 40)
  assert.deepEqual([report.problemCount, report.counts], [damaged, { record: damaged }])
})

test('damage is found while others have the store open', async (t) => {
  const directory = sample(t)
  const holder = openStore({ path: directory, readOnly: true })
  overwrite(directory, '<status 9>', '<STATUS 9>')
  const report = await check(directory)
  assert.deepEqual([report.status, report.inUse], ['damaged', true])
  assert.deepEqual(report.counts, { record: 1 })
  holder.close()
})

test('a walk that is killed by what it meets is damage, and another one goes on without LMDB',
  { ...notOnWindows, timeout: 60_000 }, async (t) => {
    const directory = sample(t)
    // Stopped, so that it is there, but does not read the pages that are gone.
    const holder = startAgent(t, 'hold', { options: { path: directory, readOnly: true } })
    await holder.next()
    process.kill(holder.pid, 'SIGSTOP')
    fs.truncateSync(dataOf(directory), 2 * PAGE_BYTES)
    const report = await check(directory)
    assert.equal(report.status, 'damaged')
    assert.equal(report.problems[0].kind, 'walk-crashed')
    assert.match(report.problems[0].message, /SIGBUS|SIGSEGV/)
    assert.ok(report.counts['file-short'] > 0)
  })

test('a store that another container has open is walked, but not called sound',
  { ...needsNamespaces, timeout: 60_000 }, async (t) => {
    const directory = sample(t)
    const command = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc']
    const holder = startAgent(t, 'hold', { options: directory }, { command })
    await holder.next()
    const report = await check(directory)
    assert.deepEqual([report.status, report.counts], ['unchecked', { 'not-opened': 1 }])
    assert.match(report.problems[0].message, /pid namespace/)
    assert.equal(report.figures.records, 404)
    assert.match(report.advice[0], /Stop the processes/)
    holder.tell('end')
    await holder.exited
    isSound(await check(directory))
  })

test('a check that is killed with every try reports just that', () => {
  const report = JSON.parse(native.crashReport('/where/it/was', 'SIGSEGV'))
  assert.deepEqual([report.status, report.counts], ['damaged', { 'walk-crashed': 1 }])
  assert.equal(report.path, '/where/it/was')
})

test('permissions that openStore refuses are a problem with its cure', notOnWindows, async (t) => {
  const directory = sample(t)
  fs.chmodSync(directory, 0o777)
  throwsCode(() => openStore(directory), 'ERR_UNSAFE_PATH')
  const report = await check(directory)
  assert.deepEqual([report.status, report.counts], ['damaged', { 'unsafe-path': 1 }])
  assert.match(report.problems[0].message, /chmod go-w/)
  assert.equal(report.figures.records, 404, 'it is walked all the same')
  assert.equal(report.advice.length, 1)
})

// ---------------------------------------------------------------- bits

/** Has agents read the store with each flip; returns digests, or what else came of it. */
async function readWithFlips (t, args, flips) {
  const outcomes = []
  while (outcomes.length < flips.length) {
    const rest = flips.slice(outcomes.length)
    const agent = startAgent(t, 'read-all', { ...args, flips: rest })
    const said = await agent.all()
    const { code, signal, stderr } = await agent.exited
    outcomes.push(...said.map(({ digest }) => digest ?? 'stuck'))
    if (said.length === rest.length) break
    if (said.at(-1)?.stuck) continue
    assert.ok(signal !== null || code > 128, `the agent failed: ${stderr}`)
    outcomes.push('crash')
  }
  return outcomes
}

/** What the check says of the store with a flip. Nobody has it open, so nothing is mapped. */
function checkWithFlip (directory, [offset, bit]) {
  const file = dataOf(directory)
  const data = fs.readFileSync(file)
  data[offset] ^= 1 << bit
  fs.writeFileSync(file, data)
  const { status } = JSON.parse(native.check(directory))
  data[offset] ^= 1 << bit
  fs.writeFileSync(file, data)
  return status
}

test('of 300 flipped bits each one that changes what a read gives is reported',
  { timeout: 240_000 }, async (t) => {
    const random = seededRandom(t)
    const directory = sample(t)
    const keys = ['large', 'expiring', ...Array.from({ length: 200 }, (_, n) => `key ${n}`)]
    const args = { directory, keys: { files: keys, status: keys }, queues: ['work'] }
    const { figures } = await check(directory)
    // Half of them where the structure of a page is.
    const flips = Array.from({ length: 300 }, (_, n) => {
      const within = random.below(n % 2 === 0 ? PAGE_BYTES : 64)
      return [random.below(figures.pages) * PAGE_BYTES + within, random.below(8)]
    })
    const [sound, ...outcomes] = await readWithFlips(t, args, [null, ...flips])
    const statuses = flips.map((flip) => checkWithFlip(directory, flip))
    const count = (condition) => outcomes.filter(condition).length
    t.diagnostic(
      `${figures.usedPages} of ${figures.pages} pages in use; ` +
      `reads changed ${count((outcome) => outcome !== sound)} (crashes ` +
      `${count((outcome) => outcome === 'crash')}), reported ` +
      `${statuses.filter((status) => status === 'damaged').length}`)
    outcomes.forEach((outcome, index) => {
      if (outcome === sound) return
      const [offset, bit] = flips[index]
      const where = `byte ${offset % PAGE_BYTES} of page ${Math.floor(offset / PAGE_BYTES)}`
      assert.equal(statuses[index], 'damaged', `bit ${bit} of ${where}: ${outcome}`)
    })
    assert.ok(count((outcome) => outcome !== sound) > 50, 'many flips changed something')
  })

// ---------------------------------------------------------------- no check

test('where no store is the check rejects', async (t) => {
  const directory = temporaryDirectory(t)
  await rejectsCode(check(directory), 'ERR_NOT_FOUND')
  await rejectsCode(check(path.join(directory, 'missing')), 'ERR_NOT_FOUND')
  fs.writeFileSync(path.join(directory, 'file'), '')
  await rejectsCode(check(path.join(directory, 'file')), 'ERR_INVALID_OPTION')
  assert.deepEqual(fs.readdirSync(directory), ['file'])
})

test('where the process cannot be started the check rejects', async () => {
  await rejectsCode(check('x'.repeat(4 * 1024 * 1024)), 'ERR_IO')
})

test('wrong arguments reject', async () => {
  await rejectsCode(check(''), 'ERR_INVALID_OPTION')
  await rejectsCode(check('a\0b'), 'ERR_INVALID_OPTION')
  await rejectsCode(check(7), 'ERR_INVALID_OPTION', { type: TypeError })
  await rejectsCode(check({ path: 'store' }), 'ERR_INVALID_OPTION', { type: TypeError })
  await rejectsCode(check('store', { json: true }), 'ERR_INVALID_OPTION', { type: TypeError })
  for (const signal of [1, { aborted: false, addEventListener () {} }]) {
    await rejectsCode(check('store', { signal }), 'ERR_INVALID_OPTION', { type: TypeError })
  }
})

test('a check ends when its signal aborts', async (t) => {
  const directory = sample(t)
  const reason = new Error('enough')
  await assert.rejects(check(directory, { signal: AbortSignal.abort(reason) }), reason)
  const controller = new AbortController()
  const checking = check(directory, { signal: controller.signal })
  controller.abort(reason)
  await assert.rejects(checking, reason)
})

// ---------------------------------------------------------------- the script

test('the exit status says whether a store is sound, damaged, or could not be checked', (t) => {
  const directory = sample(t)
  const sound = run(['check', directory])
  assert.deepEqual([sound.status, sound.stderr], [0, ''])
  assert.match(sound.stdout, /: sound\n.*404 records/s)
  overwrite(directory, '<status 9>', '<STATUS 9>')
  const damaged = run(['check', directory])
  assert.equal(damaged.status, 1)
  assert.match(damaged.stdout, /record: .*"status".*key 9/)
  assert.match(damaged.stdout, /backup\(\)/)
  const missing = run(['check', path.join(directory, 'missing')])
  assert.equal(missing.status, 2)
  assert.match(missing.stderr, /no store at .*: correct the path/)
  assert.equal(missing.stdout, '')
})

test('a store of a newer format is not judged: exit status 2', (t) => {
  const directory = sample(t)
  const marker = path.join(directory, 'commonhold.json')
  fs.writeFileSync(marker, JSON.stringify({ ...JSON.parse(fs.readFileSync(marker)), format: 2 }))
  const { status, stdout } = run(['check', directory])
  assert.equal(status, 2)
  assert.match(stdout, /: unchecked\n.*format-version: .*format 2/s)
})

test('--json prints the report; without a directory it is that of the default store', async (t) => {
  const directory = sample(t)
  overwrite(directory, '<status 9>', '<STATUS 9>')
  const env = { ...process.env, COMMONHOLD_PATH: directory }
  const { status, stdout } = run(['check', '--json'], env)
  assert.equal(status, 1)
  assert.deepEqual(JSON.parse(stdout), await check(directory))
})

test('a report that cannot be written says nothing of damage', notOnWindows, (t) => {
  const pipeTo = (target) => spawnSync('sh',
    ['-c', `{ "$0" "$1" check "$2"; echo $? >&2; } ${target}`, process.execPath, script, sample(t)],
    { encoding: 'utf8' }).stderr
  assert.equal(pipeTo('| true'), '0\n')
  if (!fs.existsSync('/dev/full')) return
  assert.match(pipeTo('> /dev/full'), /^commonhold: .*ENOSPC.*\n2\n$/)
})

test('the script says how it is used', () => {
  const { version, bin } = JSON.parse(fs.readFileSync(path.join(__dirname, '..', 'package.json')))
  assert.equal(path.join(__dirname, '..', bin.commonhold), script)
  assert.equal(run(['--version']).stdout, `${version}\n`)
  assert.match(run(['--help']).stdout, /^commonhold check \[directory\]/)
  for (const args of [[], ['chekc'], ['check', '--jason'], ['check', 'a', 'b']]) {
    const { status, stderr } = run(args)
    assert.equal(status, 2, args.join(' '))
    assert.match(stderr, /^commonhold: /)
  }
})

// ---------------------------------------------------------------- opening

test('a damaged store is refused, named with what to do, and left as it is', async (t) => {
  const whole = sample(t)
  const damages = {
    'meta page 0': (directory) => fs.writeFileSync(dataOf(directory),
      Buffer.concat([Buffer.alloc(200), fs.readFileSync(dataOf(directory)).subarray(200)])),
    'cut short': (directory) => fs.truncateSync(dataOf(directory), 5 * PAGE_BYTES),
    empty: (directory) => fs.truncateSync(dataOf(directory), 0),
    missing: (directory) => fs.rmSync(dataOf(directory)),
    noise: (directory) => fs.writeFileSync(dataOf(directory), Buffer.alloc(200_000, 0xa5)),
    'ill-formed marker': (directory) =>
      fs.writeFileSync(path.join(directory, 'commonhold.json'), '{'),
    'no marker': (directory) => fs.rmSync(path.join(directory, 'commonhold.json')),
    'marker of another store': (directory) => fs.copyFileSync(
      path.join(sample(t, 1), 'commonhold.json'), path.join(directory, 'commonhold.json'))
  }
  for (const [name, damage] of Object.entries(damages)) {
    const directory = path.join(temporaryDirectory(t), 'store')
    fs.cpSync(whole, directory, { recursive: true })
    fs.chmodSync(directory, 0o700)
    damage(directory)
    const before = contentOf(directory, isStored)
    for (const readOnly of [false, true]) {
      // Without its marker a store is none for readers.
      const code = readOnly && name === 'no marker' ? 'ERR_NOT_FOUND' : 'ERR_CORRUPT'
      const error = throwsCode(() => openStore({ path: directory, readOnly }), code)
      if (code !== 'ERR_CORRUPT') continue
      assert.ok(error.message.includes(`npx commonhold check ${directory}`), error.message)
      assert.match(error.message, /backup\(\)/)
    }
    assert.deepEqual(contentOf(directory, isStored), before, name)
    if (name !== 'no marker') assert.equal((await check(directory)).status, 'damaged', name)
  }
})
