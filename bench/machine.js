'use strict'

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const FILESYSTEMS = {
  0xef53: 'ext4',
  0x01021994: 'tmpfs',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x794c7630: 'overlay'
}

const filesystemOf = directory => {
  const { type } = fs.statfsSync(directory)
  return FILESYSTEMS[type] ?? `0x${type.toString(16)}`
}

function commitOf (directory) {
  try {
    const options = { cwd: directory, encoding: 'utf8' }
    return execFileSync('git', ['describe', '--always', '--dirty'], options).trim()
  } catch {
    return 'unknown'
  }
}

/** The machine and the state of the source, as far as they explain the figures. */
function describeMachine () {
  const directory = process.env.BENCH_DIRECTORY ?? os.tmpdir()
  return {
    processor: os.cpus()[0]?.model ?? 'unknown',
    cores: os.cpus().length,
    memoryBytes: os.totalmem(),
    system: `${os.type()} ${os.release()} ${os.arch()}`,
    node: process.version,
    filesystem: filesystemOf(directory),
    loadAverage: os.loadavg()[0],
    commit: commitOf(path.join(__dirname, '..'))
  }
}

module.exports = { describeMachine }
