'use strict'

// Reads the journal that interpose.c writes: all that the processes of a test asked of the disk, in
// one order.

const fs = require('node:fs')

const MAGIC = 0x4c4e524a
const HEAD_BYTES = 64
const KINDS = [undefined, 'write', 'truncate', 'sync-begin', 'sync-end', 'create', 'mkdir', 'rename',
  'unlink']
const IS_SYNC = 1
const IS_DIRECTORY = 2

/** The records of a journal. Of a write, `data` is a view of the file's bytes. */
function readJournal (file) {
  const bytes = fs.readFileSync(file)
  const records = []
  for (let at = 0; at < bytes.length;) {
    if (bytes.readUInt32LE(at) !== MAGIC) throw new Error(`${file} is torn at byte ${at}`)
    const record = readHead(bytes, at)
    at += HEAD_BYTES
    const take = (length) => bytes.subarray(at, (at += length))
    record.path = take(record.pathBytes).toString()
    record.second = take(record.secondBytes).toString()
    if (record.kind === 'write') record.data = take(record.bytes)
    records.push(record)
  }
  return records
}

function readHead (bytes, at) {
  const flags = bytes.readUInt32LE(at + 12)
  return {
    pid: bytes.readUInt32LE(at + 4),
    kind: KINDS[bytes.readUInt32LE(at + 8)],
    isSync: (flags & IS_SYNC) !== 0,
    isDirectory: (flags & IS_DIRECTORY) !== 0,
    timeMs: Number(bytes.readBigUInt64LE(at + 16)) / 1e6,
    inode: Number(bytes.readBigUInt64LE(at + 24)),
    offset: Number(bytes.readBigUInt64LE(at + 32)),
    bytes: Number(bytes.readBigUInt64LE(at + 40)),
    token: bytes.readBigUInt64LE(at + 48),
    pathBytes: bytes.readUInt32LE(at + 56),
    secondBytes: bytes.readUInt32LE(at + 60)
  }
}

module.exports = { readJournal }
