'use strict'

// Small disks of several filesystems, to be filled. They need root; where something is missing, the
// tests that need them say what.

const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

/** What makes each filesystem, and the smallest size it takes, in MiB. */
const KINDS = {
  tmpfs: { megabytes: 24 },
  ext4: { megabytes: 24, make: ['mkfs.ext4', '-q', '-F'] },
  xfs: { megabytes: 300, make: ['mkfs.xfs', '-q', '-f'] },
  btrfs: { megabytes: 128, make: ['mkfs.btrfs', '-q', '-f'] }
}

/** Runs a program; throws what it said if it fails. */
function run (program, ...args) {
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  if (error !== undefined) throw error
  assert.equal(status, 0, `${program} ${args.join(' ')}: ${stderr}`)
}

const reasons = new Map()

/** Why there is no disk of this kind here, or false. */
function whyNot (kind) {
  if (!reasons.has(kind)) reasons.set(kind, probe(kind))
  return reasons.get(kind)
}

function probe (kind) {
  if (process.platform !== 'linux') return `needs ${kind}`
  if (process.getuid() !== 0) return `needs root, to mount ${kind}`
  const { make } = KINDS[kind]
  if (make && spawnSync(make[0], ['-V']).error) return `needs ${make[0]}`
  const t = { afterwards: [], after (fn) { this.afterwards.push(fn) } }
  try {
    makeDisk(t, kind)
    return false
  } catch (error) {
    return `cannot mount ${kind} here: ${error.message.split('\n')[0]}`
  } finally {
    for (const fn of t.afterwards) fn()
  }
}

/** Makes and mounts a small disk for the test; returns its directory, mode 0700. */
function makeDisk (t, kind, { mount = [], make: makeOptions = [] } = {}) {
  const { megabytes, make } = KINDS[kind]
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commonhold-test-'))
  const disk = path.join(directory, 'disk')
  fs.mkdirSync(disk)
  t.after(() => {
    spawnSync('umount', ['-l', disk])
    fs.rmSync(directory, { recursive: true, force: true })
  })
  if (make === undefined) {
    run('mount', '-t', kind, '-o', [`size=${megabytes}m`, ...mount].join(), kind, disk)
  } else {
    const image = path.join(directory, 'image')
    fs.closeSync(fs.openSync(image, 'w', 0o600))
    fs.truncateSync(image, megabytes * 1024 * 1024)
    run(...make, ...makeOptions, image)
    run('mount', '-o', ['loop', ...mount].join(), image, disk)
  }
  fs.chmodSync(disk, 0o700)
  return disk
}

/** Bytes that are free on the disk. */
function freeBytes (disk) {
  const { bavail, bsize } = fs.statfsSync(disk)
  return bavail * bsize
}

/** Fills the disk with a file of this name, but for about so many bytes. */
function fillBut (file, leave) {
  const descriptor = fs.openSync(file, 'w', 0o600)
  for (let bytes; (bytes = freeBytes(path.dirname(file)) - leave) >= 64 * 1024;) {
    fs.writeSync(descriptor, Buffer.alloc(Math.min(bytes, 64 * 1024 * 1024), 'ballast '))
    fs.fsyncSync(descriptor)
  }
  fs.closeSync(descriptor)
}

/** Fills what is left of the disk with a file of this name. */
function fillUp (file) {
  const descriptor = fs.openSync(file, 'a', 0o600)
  let part = Buffer.alloc(1024 * 1024, 'ballast ')
  // Filesystems that allocate when they write back notice late that they are full.
  for (let rounds = 0; rounds < 3; rounds++) {
    while (part.length > 0) {
      try {
        fs.writeSync(descriptor, part)
      } catch (error) {
        if (!['ENOSPC', 'EDQUOT'].includes(error.code)) throw error
        part = part.subarray(0, Math.floor(part.length / 16))
      }
    }
    part = Buffer.alloc(4096)
    try {
      fs.fsyncSync(descriptor)
    } catch (error) {
      assert.equal(error.code, 'ENOSPC')
    }
  }
  fs.closeSync(descriptor)
}

/** Removes a file, and waits until its disk has the room again, which btrfs gives back late. */
function makeRoom (file, bytes = 1024 * 1024) {
  fs.rmSync(file)
  const until = Date.now() + 30_000
  do {
    spawnSync('sync', ['-f', path.dirname(file)])
    assert.ok(Date.now() < until, 'the disk gives its room back')
  } while (freeBytes(path.dirname(file)) < bytes)
}

const kinds = Object.keys(KINDS)

module.exports = { fillBut, fillUp, kinds, makeDisk, makeRoom, run, whyNot }
