'use strict'

// The tools of this suite are tested before they are believed: nothing reaches the store's directory
// past the interposer, faults come at the call they were asked for, and the disk of which the power
// is cut loses what it may lose and nothing else.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { generator } = require('../__test__/support/random')
const { callCounter, environment, interposer } = require('./support/interposer')
const { Disk } = require('./support/disk')
const { readJournal } = require('./support/journal')
const { workshop } = require('./support/power')

const { reason } = interposer()
const options = { skip: reason }
const agent = path.join(__dirname, 'agents', 'writer.js')

/** A directory to watch, with a journal beside it. */
function watched (t) {
  const directory = workshop(t)
  const root = path.join(directory, 'root')
  fs.mkdirSync(root, { mode: 0o700 })
  const journal = path.join(directory, 'journal')
  fs.writeFileSync(journal, '')
  return { directory, root, journal }
}

/** Runs a script under the interposer. */
const runScript = (code, faults) =>
  spawnSync(process.execPath, ['-e', code], { env: environment(faults), encoding: 'utf8' })

const SYSTEM_CALLS = ['write', 'writev', 'pwrite64', 'pwritev', 'pwritev2', 'ftruncate', 'truncate',
  'fallocate', 'fsync', 'fdatasync', 'msync', 'sync_file_range', 'copy_file_range', 'sendfile',
  'splice', 'rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'mkdir', 'mkdirat', 'rmdir', 'link',
  'linkat', 'symlink', 'symlinkat', 'io_uring_setup', 'mmap', 'open', 'openat', 'openat2', 'creat']
// The interposer makes its calls in one form of several, which shows whether a call went through it.
const PAST_IT = /^(write|pwrite64|pwritev2|truncate|fallocate|msync|sync_file_range|copy_file_range|sendfile|splice|rename|renameat|unlink|mkdir|rmdir|link|linkat|symlink|symlinkat|io_uring_setup|creat|openat2|open)$/

test('nothing reaches the directory of a store past the interposer', options, (t) => {
  const { root, journal, directory } = watched(t)
  const trace = path.join(directory, 'trace')
  const args = {
    path: path.join(root, 'store'), file: path.join(directory, 'said'), seed: 7, name: 'a', from: 0, steps: 200, starts: [], close: true
  }
  const command = ['-f', '-y', '-o', trace, '-e', `trace=${SYSTEM_CALLS}`, '-E',
    `LD_PRELOAD=${interposer().library}`, process.execPath, agent, JSON.stringify(args)]
  const env = { ...environment({ directory: root, journal }), LD_PRELOAD: '' }
  const { error, status, stderr } = spawnSync('strace', command, { env, encoding: 'utf8' })
  if (error?.code === 'ENOENT') return t.skip('strace is not installed')
  assert.equal(status, 0, stderr)
  const calls = fs.readFileSync(trace, 'utf8').split('\n')
    .map((line) => /^\d+ +(\w+)\((.*)$/.exec(line)).filter((found) => found && (found[2].includes(`${root}/`) || found[2].includes(`${root}>`)))
    .map(([, name, rest]) => ({ name, rest }))
  // The file `reserve` is room on the disk and has no content.
  const past = calls.filter(({ name, rest }) => PAST_IT.test(name) && !/\/reserve>/.test(rest))
  assert.deepEqual(past, [])
  const maps = calls.filter(({ name, rest }) => name === 'mmap' && /PROT_WRITE.*MAP_SHARED/.test(rest))
  for (const { rest } of maps) assert.match(rest, /\/(lock\.mdb|wake|writer\.lock|processes\/[\d-]+)>/)
  const count = (pattern) => calls.filter(({ name }) => pattern.test(name)).length
  const records = readJournal(journal)
  const of = (...kinds) => records.filter(({ kind }) => kinds.includes(kind)).length
  assert.ok(of('write') > 400, `${of('write')} writes`)
  assert.equal(count(/^p?writev$/), of('write'))
  assert.equal(count(/^f(data)?sync$/), of('sync-end'))
})

test('the N-th call meets the fault, once or from then on', options, (t) => {
  const { root, directory } = watched(t)
  const file = path.join(root, 'file')
  const code = `const fs = require('fs'); const fd = fs.openSync(${JSON.stringify(file)}, 'w')
    for (const n of [1, 2, 3, 4]) {
      let told
      try { told = fs.writeSync(fd, Buffer.alloc(4096, n)) } catch (error) { told = error.code }
      console.log(told)
    }`
  const cases = [
    [{ do: 'eio' }, '4096,4096,EIO,4096', null],
    [{ do: 'enospc', forever: 1 }, '4096,4096,ENOSPC,ENOSPC', null],
    // Node.js itself writes the rest.
    [{ do: 'short' }, '4096,4096,4096,4096', null, undefined, 5],
    [{ do: 'kill' }, '4096,4096', 'SIGKILL', 8192],
    [{ do: 'torn' }, '4096,4096', 'SIGKILL', 10240],
    [{ do: 'kill-after' }, '4096,4096', 'SIGKILL', 12288],
    [{ do: 'kill', calls: 's' }, '4096,4096,4096,4096', null]
  ]
  for (const [faults, told, signal, bytes, calls] of cases) {
    const counter = callCounter(path.join(directory, 'calls'))
    const ended = runScript(code, { directory: root, calls: 'w', at: 3, state: counter.file, ...faults })
    assert.equal(ended.stdout.trim().split('\n').join(','), told, JSON.stringify(faults))
    assert.equal(ended.signal, signal)
    if (bytes) assert.equal(fs.statSync(file).size, bytes)
    if (faults.calls === undefined) assert.equal(counter.read().met, faults.forever ? 2 : 1)
    if (calls) assert.equal(counter.read().calls, calls)
    fs.rmSync(file)
  }
})

test('another boot is another boot id', options, (t) => {
  const { root, directory } = watched(t)
  const bootId = path.join(directory, 'boot')
  fs.writeFileSync(bootId, 'another one\n')
  const code = "console.log(require('fs').readFileSync('/proc/sys/kernel/random/boot_id', 'utf8'))"
  assert.equal(runScript(code, { directory: root, bootId }).stdout.trim(), 'another one')
})

/** All the contents that a file of the journal of `code` may have after a cut at its end. */
function contents (t, code, { isPage = true, at } = {}) {
  const { root, journal } = watched(t)
  const file = path.join(root, 'file')
  fs.writeFileSync(file, Buffer.alloc(8192, '-'))
  const disk = new Disk(root)
  const prelude = `const fs = require('fs'); const root = ${JSON.stringify(root)}
    const file = root + '/file'; const page = (text) => Buffer.alloc(4096, text);`
  const { status, stderr } = runScript(prelude + code, { directory: root, journal })
  assert.equal(status, 0, stderr)
  const records = readJournal(journal)
  disk.play(records, at ?? records.length)
  const random = generator(1)
  const seen = (fate) => {
    const image = Object.fromEntries(disk.image(fate, random))
    return Object.entries(image).map(([name, bytes]) =>
      `${name} ${(bytes ?? '').toString().replace(/(.)\1*/g, (run, letter) => `${letter}${run.length / (isPage ? 4096 : 512)}`)}`).sort().join(' ')
  }
  return (fate) => new Set(Array.from({ length: 200 }, () => seen(fate)))
}

const holds = (set, ...texts) => assert.deepEqual([...set].sort(), texts.sort())

test('what was not synced may be there or not, page by page', options, (t) => {
  const code = `const fd = fs.openSync(file, 'r+'); fs.writeSync(fd, page('a'), 0, 4096, 0)
    fs.writeSync(fd, page('b'), 0, 4096, 4096); fs.writeSync(fd, page('c'), 0, 4096, 0)`
  const after = contents(t, code)
  holds(after('dropped'), 'file -2')
  holds(after('kept'), 'file c1b1')
  holds(after('first ones'), 'file -2', 'file a1-1', 'file a1b1', 'file c1b1')
  holds(after('last ones'), 'file -2', 'file c1-1', 'file c1b1')
  holds(after('some pages'), 'file -2', 'file -1b1', 'file a1-1', 'file a1b1', 'file c1-1', 'file c1b1')
})

test('what was synced is there, and a page is torn only where it was not', options, (t) => {
  const synced = contents(t, `const fd = fs.openSync(file, 'r+')
    fs.writeSync(fd, page('a'), 0, 4096, 0); fs.fdatasyncSync(fd); fs.writeSync(fd, page('b'), 0, 4096, 4096)`)
  holds(synced('dropped'), 'file a1-1')
  holds(synced('some pages'), 'file a1-1', 'file a1b1')
  const direct = contents(t, `const fd = fs.openSync(file, fs.constants.O_RDWR | fs.constants.O_DSYNC)
    fs.writeSync(fd, page('a'), 0, 4096, 0)`)
  holds(direct('dropped'), 'file a1-1')
  const torn = contents(t, `const fd = fs.openSync(file, 'r+')
    fs.writeSync(fd, page('a'), 0, 4096, 4096)`, { isPage: false })
  assert.ok(torn('some sectors').size > 100)
  assert.ok([...torn('some sectors')].every((text) => /^file -([89]|1\d)/.test(text)))
})

test('a sync covers what was written before it began, once it has returned', options, (t) => {
  const code = `const fd = fs.openSync(file, 'r+'); fs.writeSync(fd, page('a'), 0, 4096, 0)
    fs.fdatasyncSync(fd)`
  holds(contents(t, code, { at: 2 })('dropped'), 'file -2')
  holds(contents(t, code, { at: 3 })('dropped'), 'file a1-1')
})

test('a file may be as long as it ever was since it was synced', options, (t) => {
  const after = contents(t, `const fd = fs.openSync(file, 'r+')
    fs.writeSync(fd, page('a'), 0, 4096, 8192); fs.ftruncateSync(fd, 4096)`)
  holds(after('dropped'), 'file -2')
  holds(after('kept'), 'file -1')
  const lengths = new Set([...after('some pages')].map((text) => text.length > 8 ? 3 : text.at(-1)))
  assert.equal(lengths.size, 3)
})

test('a name is certain once its directory was synced, and only then', options, (t) => {
  const make = `fs.writeFileSync(root + '/new', ''); fs.mkdirSync(root + '/deep')
    fs.renameSync(root + '/new', root + '/name'); fs.unlinkSync(file);`
  const sync = "fs.fsyncSync(fs.openSync(root));fs.writeFileSync(root + '/deep/below', '')"
  const unsynced = contents(t, make)
  holds(unsynced('dropped'), 'file -2')
  holds(unsynced('kept'), 'deep  name ')
  assert.equal(unsynced('first ones').size, 5)
  const synced = contents(t, make + sync)
  holds(synced('dropped'), 'deep  name ')
  holds(synced('kept'), 'deep  deep/below  name ')
})
