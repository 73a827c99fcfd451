'use strict'

// A full disk: a small tmpfs is filled to the last page by another process. What was acknowledged
// stays, the error says what to do, and once there is space again the same store goes on.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { startAgent } = require('./support/agents')

const megabyte = 1024 * 1024

/** Mounts a small tmpfs for the test. */
function smallDisk (t, megabytes) {
  const disk = fs.mkdtempSync(path.join(os.tmpdir(), 'commonhold-test-'))
  const options = `size=${megabytes}m,mode=700`
  const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk])
  assert.equal(status, 0, String(stderr))
  t.after(() => {
    spawnSync('umount', ['-l', disk])
    fs.rmdirSync(disk)
  })
  return disk
}

function skip () {
  if (process.platform !== 'linux') return 'needs tmpfs'
  if (process.getuid() !== 0) return 'needs root, to mount a tmpfs'
  const probe = spawnSync('unshare', ['-m', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'])
  return probe.status !== 0 && 'mounting is not allowed here'
}

const needsMount = { skip: skip(), timeout: 120_000 }

/** Fills what is left of the disk. */
function fillUp (file) {
  const descriptor = fs.openSync(file, 'w', 0o600)
  const zeros = Buffer.alloc(4096)
  try {
    for (;;) fs.writeSync(descriptor, zeros)
  } catch (error) {
    assert.equal(error.code, 'ENOSPC')
  }
  fs.closeSync(descriptor)
}

for (const [what, size, batch] of [
  ['large values', 64 * 1024, 1],
  ['small values', 100, 1],
  ['batches', 1000, 100]
]) {
  test(`a disk filled by ${what}: nothing is lost, and it goes on after`, needsMount, async (t) => {
    const disk = smallDisk(t, 24)
    const ballast = path.join(disk, 'ballast')
    // Small values would need minutes to fill the disk, so most of it is full from the start.
    fs.writeFileSync(ballast, Buffer.alloc((size < 1000 ? 22 : 8) * megabyte))
    const args = { path: path.join(disk, 'store'), size, batch }
    const agent = startAgent(t, 'fill', args)
    const full = await agent.next()
    assert.ok(['ERR_NO_SPACE', 'ERR_STORE_FULL'].includes(full?.code), JSON.stringify(full))
    assert.ok(full.acknowledged > 0)
    assert.deepEqual(await agent.next(), { found: full.acknowledged, wrong: 0 }, 'reads go on')
    fs.rmSync(ballast)
    agent.tell('there is space again')
    const after = await agent.next()
    assert.deepEqual(after, { wrote: true }, 'the same handle writes again')
    assert.deepEqual(await agent.all(), [{ found: full.acknowledged + batch, wrong: 0 }])
    const { code, signal, stderr } = await agent.exited
    assert.deepEqual([code, signal], [0, null], stderr)
    const again = startAgent(t, 'fill', { ...args, only: 'check' })
    assert.deepEqual(await again.all(), [{ found: full.acknowledged + batch, wrong: 0 }])
    await again.exited
  })
}

test('a disk that is full to the last page refuses, and reads go on', needsMount, async (t) => {
  const disk = smallDisk(t, 24)
  const ballast = path.join(disk, 'ballast')
  const args = { path: path.join(disk, 'store'), size: 1000, batch: 1, pauseAfter: 50 }
  const agent = startAgent(t, 'fill', args)
  assert.deepEqual(await agent.next(), { paused: 50 })
  fillUp(ballast)
  agent.tell('go on')
  const full = await agent.next()
  assert.ok(['ERR_NO_SPACE', 'ERR_STORE_FULL'].includes(full?.code), JSON.stringify(full))
  assert.deepEqual(await agent.next(), { found: full.acknowledged, wrong: 0 })
  fs.rmSync(ballast)
  agent.tell('there is space again')
  assert.deepEqual(await agent.next(), { wrote: true })
  assert.deepEqual(await agent.all(), [{ found: full.acknowledged + 1, wrong: 0 }])
})

test('a new store on a full disk is ERR_NO_SPACE, not a crash', needsMount, async (t) => {
  const disk = smallDisk(t, 8)
  const ballast = path.join(disk, 'ballast')
  fillUp(ballast)
  for (const keptBytes of [0, 4096, 65_536, 200_000]) {
    fs.truncateSync(ballast, Math.max(0, fs.statSync(ballast).size - keptBytes))
    const agent = startAgent(t, 'open', { options: { path: path.join(disk, 'store') } })
    const [said] = await agent.all()
    const { signal, stderr } = await agent.exited
    assert.equal(signal, null, stderr)
    if (said.code !== undefined) assert.equal(said.code, 'ERR_NO_SPACE', said.message)
    if (keptBytes === 0) assert.equal(said.code, 'ERR_NO_SPACE')
  }
  fs.rmSync(ballast)
  const agent = startAgent(t, 'open', { options: { path: path.join(disk, 'store') } })
  const [said] = await agent.all()
  assert.equal(said.code, undefined, said.message)
})
