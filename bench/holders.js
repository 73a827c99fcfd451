'use strict'

// Ways for another process to hold the right to write, each a role of a companion: `hold(ms)`
// resolves as soon as the right is held, and it is let go so many milliseconds later, whatever the
// process that asked is doing meanwhile.

const { spawn } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { once } = require('node:events')
const { setTimeout: sleep } = require('node:timers/promises')
const { now } = require('./arrivals')
const { startCompanion } = require('./companion')
const { Missing } = require('./missing')

const TRIES = 100
const WRITING_MS = 100

const lockOf = directory => path.join(directory, 'writer.lock')

function requireTools () {
  if (process.platform !== 'linux') throw new Missing('needs flock(1) and /proc/locks of Linux')
}

/** A process that has the lock file of writers under flock, and nothing else of the store. */
async function locker ({ directory }) {
  let held
  return {
    async hold (ms) {
      await held
      const script = `echo held; sleep ${ms / 1000}`
      const child = spawn('flock', ['-x', lockOf(directory), 'sh', '-c', script])
      held = once(child, 'close')
      // Rejects where there is no flock(1).
      await Promise.race([once(child.stdout, 'data'), held])
    }
  }
}

/** Whether this process has the lock, by the kernel's word. */
function isHolder (pid, file) {
  const { ino } = fs.statSync(file)
  const locks = fs.readFileSync('/proc/locks', 'utf8').split('\n')
  return locks.some(line => / FLOCK .* WRITE /.test(line) && !line.includes('->') &&
    new RegExp(` ${pid} [0-9a-f]+:[0-9a-f]+:${ino} `).test(line))
}

/** A writer that is stopped by SIGSTOP while it writes. */
async function stopper ({ directory }) {
  const writer = await startCompanion(__filename, 'writer', { directory })
  const { pid } = await writer.ask('who')
  let free = Promise.resolve()

  /** Stops it at any moment; stays stopped only where it held the lock in that one. */
  async function tryToStop () {
    const written = writer.ask('write')
    await sleep(1 + Math.random() * 5)
    process.kill(pid, 'SIGSTOP')
    while (!/\) T /.test(fs.readFileSync(`/proc/${pid}/stat`, 'utf8'))) await sleep(1)
    if (isHolder(pid, lockOf(directory))) return { written }
    process.kill(pid, 'SIGCONT')
    await written
  }

  return {
    async hold (ms) {
      await free
      for (let i = 0; i < TRIES; i++) {
        const stopped = await tryToStop()
        if (stopped === undefined) continue
        free = sleep(ms).then(() => process.kill(pid, 'SIGCONT')).then(() => stopped.written)
        return
      }
      throw new Error(`a writer was stopped ${TRIES} times, but never while it held writer.lock`)
    }
  }
}

/** Writes without pause for a while. */
async function writer ({ directory }) {
  const { open } = require('./peers/commonhold')
  const store = open(directory)
  return {
    who: () => ({ pid: process.pid }),
    write () {
      const until = now() + WRITING_MS * 1e6
      for (let count = 0; now() < until; count++) store.set('held', { count })
    }
  }
}

/** Starts the companion that holds in this way; `undefined` where nobody is to hold. */
async function startHolder (role, directory) {
  if (role === undefined) return { ask: () => {}, end: () => {} }
  requireTools()
  return startCompanion(__filename, role, { directory })
}

module.exports = { startHolder, roles: { locker, stopper, writer } }
