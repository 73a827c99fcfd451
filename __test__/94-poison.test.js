'use strict'

// An I/O error while committing: nobody knows what of the commit has reached the disk, so nothing
// more is written until the store is opened again. The disk is made to fail by a library that
// stands between LMDB and the system's calls.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('..')
const { startAgent } = require('./support/agents')
const { makeDisk, whyNot } = require('./support/disks')
const { temporaryDirectory, temporaryStore, throwsCode } = require('./support/store')

const source = path.join(__dirname, 'support', 'failing-disk.c')

function skip () {
  if (process.platform !== 'linux') return 'needs LD_PRELOAD'
  return spawnSync('cc', ['--version']).status !== 0 && 'needs a C compiler'
}

const needsCompiler = { skip: skip(), timeout: 60_000 }
const EIO = 5
const ENOSPC = 28
const EROFS = 30
const EDQUOT = 122

/** Starts the agent over a disk that fails, and gives what the tests need of it. */
function startPoisoned (t, fault) {
  const directory = temporaryDirectory(t)
  const library = path.join(directory, 'failing-disk.so')
  const { status, stderr } =
    spawnSync('cc', ['-shared', '-fPIC', '-O1', '-o', library, source], { encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  const control = path.join(directory, 'fault')
  const args = { path: path.join(directory, 'store'), control, fault }
  const env = { ...process.env, LD_PRELOAD: library, FAILING_DISK: args.control }
  return { args, agent: startAgent(t, 'poisoned', args, { env }) }
}

for (const [what, fault] of [
  ['a page', `write ${EIO}`],
  ['a page of a filesystem that became read-only', `write ${EROFS}`],
  ['a sync', `sync ${EIO}`],
  ['a meta page', `meta ${EIO}`]
]) {
  test(`after ${what} failed nothing is written until the store is opened again`, needsCompiler,
    async (t) => {
      const { args, agent } = startPoisoned(t, fault)
      const { first } = await agent.next()
      assert.equal(first.code, 'ERR_IO', JSON.stringify(first))
      const { refused, sum, log } = await agent.next()
      for (const [kind, { code, message }] of Object.entries(refused)) {
        assert.equal(code, 'ERR_IO', `${kind}: ${message}`)
        assert.ok(message.includes(first.message), `${kind}: ${message}`)
        assert.match(message, /open the store again/, kind)
      }
      assert.equal(Object.keys(refused).length, 18)
      assert.equal(log, '', 'nothing was written, and no sync was tried again')
      assert.equal(sum, 199 * 100, 'reads go on, over more namespaces than there are handles')
      assert.deepEqual(await agent.next(), { reads: { value: [1, { a: 1, b: 2 }, 1] } })

      const store = openStore({ path: args.path })
      t.after(() => store.close())
      const other = 'written by a process whose disk is sound'
      store.useNamespace('n').set('other', other)
      agent.tell('another process has written')
      assert.deepEqual(await agent.next(), { sees: { value: other } })
      const last = await agent.next()
      assert.equal(last['one handle is still open'].code, 'ERR_IO')
      const again = (await agent.next())['opened again']
      assert.equal(again.code, undefined, again.message)
      const { code, signal, stderr } = await agent.exited
      assert.deepEqual([code, signal], [0, null], stderr)
      assert.deepEqual(store.useNamespace('n').getAll(), { a: 1, again: 1, b: 2, other })
    })
}

for (const [what, fault, text] of [
  ['full disk, met by a page', `write ${ENOSPC}`, /no space left/],
  ['full disk, met by a sync', `sync ${ENOSPC}`, /no space left/],
  ['full disk, met by a meta page', `meta ${ENOSPC}`, /no space left/],
  ['quota', `write ${EDQUOT}`, /quota/]
]) {
  test(`a ${what} is no reason to open the store again`, needsCompiler, async (t) => {
    const { args, agent } = startPoisoned(t, fault)
    const { first } = await agent.next()
    assert.equal(first.code, 'ERR_NO_SPACE', first.message)
    assert.match(first.message, text)
    assert.deepEqual(await agent.next(), { reads: { value: [1, { a: 1, b: 2 }, 1] } })
    agent.tell('go on')
    await agent.next()
    const { 'the same handle': { code, message } } = await agent.next()
    assert.equal(code, undefined, message)
    assert.equal((await agent.exited).code, 0)
    const store = openStore({ path: args.path })
    t.after(() => store.close())
    assert.deepEqual(store.useNamespace('n').getAll(), { a: 4, b: 2 })
  })
}

test('a filesystem that stops under a store: writes are refused, reads go on', {
  skip: whyNot('ext4'), timeout: 60_000
}, async (t) => {
  const disk = makeDisk(t, 'ext4')
  const args = { path: path.join(disk, 'store'), size: 1000, batch: 1, pauseAfter: 50 }
  const agent = startAgent(t, 'fill', args)
  assert.deepEqual(await agent.next(), { paused: 50 })
  // As ext4 does itself when it finds a fault: the journal ends, nothing is written any more.
  spawnSync('mount', ['-o', 'remount,abort', disk])
  agent.tell('go on')
  const { code, message, acknowledged } = await agent.next()
  assert.deepEqual([code, acknowledged], ['ERR_IO', 50], message)
  assert.deepEqual(await agent.next(), { found: 50, wrong: 0 })
  assert.equal((await agent.next()).removed, 'ERR_IO')
  agent.tell('there is no more')
  assert.match((await agent.next()).message, /open the store again/)
  assert.deepEqual(await agent.all(), [{ found: 50, wrong: 0 }])
  const { signal, stderr } = await agent.exited
  assert.equal(signal, null, stderr)
})

test('a store that is removed while it is open refuses to write', { timeout: 60_000 }, (t) => {
  const store = temporaryStore(t)
  store.set('key', 'value')
  fs.rmSync(store.path, { recursive: true })
  assert.equal(store.get('key'), 'value', 'what is mapped can be read')
  throwsCode(() => store.set('key', 'lost'), 'ERR_INVALID_OPTION', { message: /was removed/ })
  throwsCode(() => openStore(store.path), 'ERR_INVALID_OPTION', { message: /was removed/ })
  store.close()
  const again = openStore(store.path)
  t.after(() => again.close())
  assert.equal(again.get('key'), undefined, 'a new one')
  again.set('key', 'new')
})
