'use strict'

// `check`: a walk over a store's files, in a process of its own, which a damaged page may crash.

const { spawn } = require('node:child_process')
const path = require('node:path')
const native = require('./native')
const { checkSignal, onAbort } = require('./abort')
const { DataStoreError, makeError, typeError } = require('./errors')
const { checkOptions, checkString } = require('./options')

const WALKER = path.join(__dirname, 'check-walk.js')
// How a process ends for what it did to its memory: these signals; on Windows such a status.
const CRASHES = ['SIGSEGV', 'SIGBUS', 'SIGABRT', 'SIGILL', 'SIGFPE', 'SIGTRAP']
const LEAST_CRASH_STATUS = 0xC0000000

async function check (directory, options) {
  const { signal } = checkOptions(options, ['signal'], 'check')
  checkSignal(signal)
  if (directory === null || typeof directory === 'object') {
    throw typeError('ERR_INVALID_OPTION', 'check takes the path of a store, then its options')
  }
  if (checkString(directory, 'path') === '' || directory?.includes('\0')) {
    throw new DataStoreError('ERR_INVALID_OPTION', 'path is empty or contains U+0000')
  }
  const first = await walk(directory, undefined, signal)
  if (first.crash === undefined) return first.report
  // Where other processes have the store open, the first walk asks LMDB for a snapshot, which
  // reads through the map. The second one does without.
  const second = await walk(directory, first.crash, signal)
  return second.report ?? JSON.parse(native.crashReport(directory ?? '', second.crash))
}

/** One walk: `{ report }`, or `{ crash }` with how its process was killed. */
function walk (directory, crash, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    // In Electron this executable is the application, unless it is told to be Node.js.
    const env = { ...process.env, ELECTRON_RUN_AS_NODE: '1' }
    let child
    try {
      child = spawn(process.execPath, [WALKER, JSON.stringify({ directory, crash })],
        { env, stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true })
    } catch (cause) {
      // Some errors it throws: a path longer than an argument may be, a process without the right.
      return reject(notStarted(cause))
    }
    const forgetSignal = onAbort(signal, () => {
      child.kill('SIGKILL')
      reject(signal.reason)
    })
    const [said, complaint] = [child.stdout, child.stderr].map(collect)
    child.on('error', (cause) => {
      forgetSignal()
      reject(notStarted(cause))
    })
    child.on('close', (status, killedBy) => {
      forgetSignal()
      if (CRASHES.includes(killedBy)) resolve({ crash: killedBy })
      else if (status >= LEAST_CRASH_STATUS) resolve({ crash: `status 0x${status.toString(16)}` })
      else settle(said(), complaint(), killedBy ?? `status ${status}`, resolve, reject)
    })
  })
}

function notStarted (cause) {
  return new DataStoreError('ERR_IO', `could not start the check: ${cause.message}`, { cause })
}

function settle (said, complaint, end, resolve, reject) {
  let answer
  try {
    answer = JSON.parse(said)
  } catch {
    const words = complaint.trim().slice(-1000)
    return reject(new DataStoreError('ERR_IO', `the check ended with ${end}: ${words}`))
  }
  if (answer.error === undefined) resolve(answer)
  else reject(makeError(...answer.error))
}

/** Collects what a stream says; returns a function that gives it. */
function collect (stream) {
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk) => (text += chunk))
  return () => text
}

module.exports = { check }
