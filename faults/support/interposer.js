'use strict'

// Compiles interpose.c and makes the environment of a process that runs under it.

const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const source = path.join(__dirname, '..', 'interpose.c')
const FLAGS = ['-shared', '-fPIC', '-O1', '-Wall', '-Wextra', '-U_FORTIFY_SOURCE',
  '-fvisibility=hidden']
let built

/** The shared library, or the reason why there is none. */
function interposer () {
  built ??= build()
  return built
}

function build () {
  if (process.platform !== 'linux') return { reason: 'LD_PRELOAD is used as on Linux' }
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commonhold-interposer-'))
  process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }))
  const library = path.join(directory, 'interpose.so')
  const { error, status, stderr } =
    spawnSync('cc', [...FLAGS, '-o', library, source, '-lpthread'], { encoding: 'utf8' })
  if (error?.code === 'ENOENT') return { reason: 'there is no C compiler (cc)' }
  if (status !== 0) throw new Error(`cc failed\n${stderr}`)
  return { library }
}

/** The environment in which a process has these faults: `{ at: 3 }` is FAULTS_AT=3. */
function environment (faults, more = {}) {
  const names = Object.entries(faults).filter(([, value]) => value !== undefined)
  const variables = names.map(([name, value]) =>
    [`FAULTS_${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`, String(value)])
  return {
    ...process.env, ...more, ...Object.fromEntries(variables), LD_PRELOAD: interposer().library
  }
}

/** A file in which a process counts its calls; `read` gives how many, and how many met the fault. */
function callCounter (file) {
  fs.writeFileSync(file, Buffer.alloc(16))
  const read = () => {
    const bytes = fs.readFileSync(file)
    return { calls: Number(bytes.readBigUInt64LE(0)), met: Number(bytes.readBigUInt64LE(8)) }
  }
  return { file, read }
}

module.exports = { callCounter, environment, interposer }
