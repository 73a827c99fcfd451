'use strict'

// The file `checkpoint`, read by docs/format.md, and a power cut as far as it can be had without
// one: the same files under another run of the kernel.

const fs = require('node:fs')
const path = require('node:path')
const { temporaryDirectory } = require('./store')

const SLOTS = [0, 4096]
const SLOT_BYTES = 512
const STATES = { 1: 'synced', 2: 'active', 3: 'recovering' }

function crc32c (bytes) {
  let crc = 0xFFFFFFFF
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82F63B78 : 0)
  }
  return (crc ^ 0xFFFFFFFF) >>> 0
}

/** The newest slot: state, version of the checkpoint. `undefined` where there is none. */
function newestCheckpoint (directory) {
  const file = path.join(directory, 'checkpoint')
  if (!fs.existsSync(file)) return undefined
  const bytes = fs.readFileSync(file)
  const slots = SLOTS.map((at) => bytes.subarray(at, at + SLOT_BYTES))
    .filter((slot) => slot.toString('latin1', 0, 8) === 'chckpt01')
    .filter((slot) => slot.readUInt32LE(8) === crc32c(slot.subarray(12)))
  const [newest] = slots.sort((a, b) => Number(b.readBigUInt64LE(16) - a.readBigUInt64LE(16)))
  return newest && {
    state: STATES[newest.readUInt32LE(12)],
    version: Number(newest.readBigUInt64LE(80))
  }
}

/** A copy of the store as another run of the kernel would find it. Nobody writes meanwhile. */
function afterPowerCut (t, directory) {
  const copy = temporaryDirectory(t)
  for (const name of ['data.mdb', 'commonhold.json', 'checkpoint', 'wake']) {
    if (!fs.existsSync(path.join(directory, name))) continue
    fs.copyFileSync(path.join(directory, name), path.join(copy, name))
    fs.chmodSync(path.join(copy, name), 0o600)
  }
  const file = path.join(copy, 'checkpoint')
  if (!fs.existsSync(file)) return copy
  const bytes = fs.readFileSync(file)
  for (const at of SLOTS) {
    const slot = bytes.subarray(at, at + SLOT_BYTES)
    slot[24] ^= 1
    slot.writeUInt32LE(crc32c(slot.subarray(12)), 8)
  }
  fs.writeFileSync(file, bytes)
  return copy
}

module.exports = { afterPowerCut, newestCheckpoint }
