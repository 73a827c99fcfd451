'use strict'

// Limits of the system: quotas, the size of a file, the address space, file descriptors. Each has a
// clear error, loses nothing, and once it is raised the same store goes on.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('..')
const { runAgent, startAgent } = require('./support/agents')
const { makeDisk, run, whyNot } = require('./support/disks')
const { temporaryDirectory } = require('./support/store')

const megabyte = 1024 * 1024

function lacks (program) {
  if (process.platform !== 'linux') return 'needs Linux'
  return spawnSync(program, ['--version']).error !== undefined && `needs ${program}`
}

/** An agent fills its store up to a limit, which `raise` then raises. */
async function goesOnAfter (agent, pattern, raise, removes = true) {
  const full = await agent.next()
  assert.equal(full?.code, 'ERR_NO_SPACE', JSON.stringify(full))
  assert.match(full.message, pattern)
  assert.ok(full.acknowledged > 0)
  assert.deepEqual(await agent.next(), { found: full.acknowledged, wrong: 0 }, 'reads go on')
  const { removed, message } = await agent.next()
  if (removes) assert.equal(removed, 'ok', message)
  raise()
  agent.tell('there is room')
  assert.deepEqual(await agent.next(), { wrote: true }, 'the same handle writes again')
  const [{ wrong }] = await agent.all()
  assert.equal(wrong, 0)
  const { code, signal, stderr } = await agent.exited
  assert.deepEqual([code, signal], [0, null], stderr)
}

const quota = {
  skip: whyNot('ext4') || lacks('setquota') || lacks('setpriv'),
  timeout: 120_000
}
// Root may go past every quota, but for this capability.
const bound = { command: ['setpriv', '--bounding-set', '-sys_resource'] }
const kibibytes = (limit) => ['0', String(limit), '0', '0']

for (const [kind, flag, mount, prepare] of [
  ['user', '-u', 'usrquota', () => {}],
  ['project', '-P', 'prjquota', (disk) => run('chattr', '-p', '42', '+P', disk)]
]) {
  test(`a ${kind} quota is ERR_NO_SPACE, and it goes on once it is raised`, quota, async (t) => {
    const make = ['-O', 'quota,project', '-E', `quotatype=${mount}`]
    let disk
    try {
      disk = makeDisk(t, 'ext4', { make, mount: [mount] })
      prepare(disk)
      run('setquota', flag, kind === 'user' ? 'root' : '42', ...kibibytes(6 * 1024), disk)
    } catch (error) {
      t.skip(`no ${kind} quota here: ${error.message.split('\n')[0]}`)
      return
    }
    for (const [size, batch] of [[20_000, 1], [60_000, 5]]) {
      const id = kind === 'user' ? 'root' : '42'
      run('setquota', flag, id, ...kibibytes(6 * 1024), disk)
      const directory = path.join(disk, `store of ${size}`)
      const agent = startAgent(t, 'fill', { path: directory, size, batch }, bound)
      await goesOnAfter(agent, /quota/, () => run('setquota', flag, id, ...kibibytes(0), disk))
      fs.rmSync(directory, { recursive: true })
    }
  })
}

test('a limit on the size of a file is ERR_NO_SPACE, no signal, and it goes on once it is raised',
  { skip: lacks('prlimit'), timeout: 60_000 }, async (t) => {
    for (const [size, batch] of [[1000, 1], [20_000, 1], [60_000, 5]]) {
      const directory = path.join(temporaryDirectory(t), 'store')
      const command = ['prlimit', `--fsize=${2 * megabyte}:unlimited`]
      const agent = startAgent(t, 'fill', { path: directory, size, batch }, { command })
      const raise = () => run('prlimit', '--pid', String(agent.pid), '--fsize=unlimited')
      await goesOnAfter(agent, /ulimit -f/, raise, false)
    }
  })

test('a store whose file may not be as long as its lock file is refused with ERR_NO_SPACE',
  { skip: lacks('prlimit'), timeout: 60_000 }, async (t) => {
    const options = { path: path.join(temporaryDirectory(t), 'store') }
    const command = ['prlimit', '--fsize=20000']
    const [said] = await runAgent(t, 'open', { options }, { command })
    assert.equal(said.code, 'ERR_NO_SPACE', said.message)
    assert.equal((await runAgent(t, 'open', { options }))[0].code, undefined)
  })

test('a small address space makes the store smaller, and one that is too small says so',
  { skip: lacks('prlimit'), timeout: 60_000 }, async (t) => {
    const directory = path.join(temporaryDirectory(t), 'store')
    const options = { path: directory }
    const limited = { command: ['prlimit', '--as=1500000000'] }
    const [small] = await runAgent(t, 'open', { options }, limited)
    assert.equal(small.code, undefined, small.message)
    const store = openStore(directory)
    const large = Buffer.alloc(400 * megabyte, 1)
    for (let index = 0; index < 2; index++) store.set(`large ${index}`, large)
    store.close()
    const [refused] = await runAgent(t, 'open', { options }, limited)
    assert.equal(refused.code, 'ERR_IO', JSON.stringify(refused))
    assert.match(refused.message, /ulimit -v/)
    const again = openStore(directory)
    t.after(() => again.close())
    assert.equal(again.useNamespace('default').count(), 2, 'nothing is lost')
  })

test('without file descriptors nothing is lost, and it goes on once there are some',
  { skip: lacks('prlimit'), timeout: 60_000 }, async (t) => {
    const directory = path.join(temporaryDirectory(t), 'store')
    const command = ['prlimit', '--nofile=200']
    const [without, after] = await runAgent(t, 'descriptors', { path: directory }, { command })
    const [code, message] = without['opening another store']
    assert.equal(code, 'ERR_IO', message)
    assert.match(message, /[Tt]oo many open files/)
    assert.deepEqual([without.get, without.set], ['ok', 'ok'])
    assert.deepEqual(after.wrong, 0)
    assert.ok(after['gets while the file is opened again'].every((code) =>
      ['ERR_IO', 'ok'].includes(code)), JSON.stringify(after))
  })
