'use strict'

// The filesystem goes down under writers (shutdown.c): every call fails from then on, and what was not
// synced is lost, as when a disk is pulled out. Then it is mounted again. This is the one test
// in which a real filesystem decides what survives.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { seededRandom } = require('../__test__/support/random')
const { publish, size } = require('./support/figures')
const { start, startServer } = require('./support/processes')

const IMAGE_BYTES = 96 * 1024 * 1024
const FILESYSTEMS = [['ext4', ['-q', '-F', '-E', 'nodiscard,lazy_itable_init=1']], ['xfs', ['-q', '-f']]]

const run = (program, ...args) => {
  const { error, status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  return error?.code === 'ENOENT' ? `${program} is not installed` : status !== 0 ? stderr.trim() || `${program} failed` : undefined
}

/** A filesystem of its own in a file. Returns the reason where that cannot be. */
function makeFilesystem (t, kind, mkfsOptions) {
  if (process.platform !== 'linux' || process.getuid() !== 0) return { reason: 'only root on Linux can mount' }
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commonhold-mount-'))
  const image = path.join(directory, 'image')
  const mountPoint = path.join(directory, 'mount')
  const helper = path.join(directory, 'shutdown')
  const unmount = () => run('umount', mountPoint)
  const mount = () => run('mount', '-o', 'loop', image, mountPoint)
  t.after(() => {
    run('umount', '--lazy', mountPoint)
    fs.rmSync(directory, { recursive: true, force: true })
  })
  fs.writeFileSync(image, '')
  fs.truncateSync(image, kind === 'xfs' ? 4 * IMAGE_BYTES : IMAGE_BYTES)
  fs.mkdirSync(mountPoint)
  const reason = run('cc', '-o', helper, path.join(__dirname, 'shutdown.c')) ??
    run(`mkfs.${kind}`, ...mkfsOptions, image) ?? mount()
  const shutDown = (how) => assert.equal(run(helper, mountPoint, String(how)), undefined)
  return { reason, mountPoint, mount, unmount, shutDown }
}

/** One shutdown under writers, each with a part of the store of its own. */
async function shutDownUnderWriters (t, { filesystem, seed, random, round, counts }) {
  const store = path.join(filesystem.mountPoint, `store ${round}`)
  const writers = ['a', 'b', 'c'].map((name) => ({ name, from: 0, starts: [] }))
  const agents = writers.map((writer) =>
    start(t, 'scenario', { path: store, seed, ...writer, steps: 10_000, forever: true }))
  const said = agents.map(() => [])
  for (let lines = 5 + random.below(150), n = 0; lines > 0; lines--, n = (n + 1) % 3) {
    const line = await agents[n].next()
    if (line !== undefined) said[n].push(line)
  }
  filesystem.shutDown(1 + random.below(2))
  const problems = []
  for (const [n, agent] of agents.entries()) {
    said[n].push(...await agent.all())
    const { code, signal, stderr } = await agent.exited
    // A page that is not in memory can no longer be read: the kernel's answer is SIGBUS.
    counts[signal === 'SIGBUS' ? 'processes ended by SIGBUS' : 'processes that were told ERR_IO'] += 1
    if (code !== 0 && signal !== 'SIGBUS') problems.push(`${signal ?? code}: ${stderr}`)
    const codes = said[n].flatMap(({ failed, code, notOpened, writes }) =>
      [failed !== undefined ? code : undefined, notOpened, writes]).filter(Boolean)
    if (!codes.every((code) => code === 'ERR_IO')) problems.push(`answered ${codes}`)
  }

  assert.equal(filesystem.unmount() ?? filesystem.mount(), undefined)
  const expected = writers.map(({ name }, n) => {
    const least = said[n].reduce((least, { done }) => (done === undefined ? least : done + 1), 0)
    counts['acknowledged steps'] += least
    return { name, starts: [], least, most: least + 1 }
  })
  const checker = startServer(t, 'checker')
  const answer = await checker.ask({ path: store, seed, writers: expected })
  await checker.stop()
  fs.rmSync(store, { recursive: true, force: true })
  return [...problems, ...answer.problems ?? [answer.crash]]
}

for (const [kind, mkfsOptions] of FILESYSTEMS) {
  test(`${kind} that goes down under writers loses nothing acknowledged`, { timeout: 300_000 }, async (t) => {
    const filesystem = makeFilesystem(t, kind, mkfsOptions)
    if (filesystem.reason) return t.skip(filesystem.reason)
    const random = seededRandom(t)
    const counts = { shutdowns: 0, 'acknowledged steps': 0, 'processes that were told ERR_IO': 0, 'processes ended by SIGBUS': 0 }
    const problems = []
    for (let round = 0; round < size(3, 40); round++) {
      const seed = random.below(2 ** 32)
      problems.push(...await shutDownUnderWriters(t, { filesystem, seed, random, round, counts }))
      counts.shutdowns += 1
    }
    publish(t, `${kind} shut down under three writers`, { ...counts, problems: problems.length }, random.seed)
    assert.deepEqual(problems, [])
  })
}
