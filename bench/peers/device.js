'use strict'

// The limit for a strict set: LMDB must sync its pages before the meta page that names them, so
// two writes of a page, each followed by a sync, with nothing of a store around them. The file is
// written full first, because a growing file would make the journal of the filesystem the measure.

const fs = require('node:fs')
const path = require('node:path')

const PAGE_BYTES = 4096
const PAGES = 4096

function open (directory) {
  const fd = fs.openSync(path.join(directory, 'device'), 'w')
  const page = Buffer.alloc(PAGE_BYTES, 'page ')
  for (let i = 0; i < PAGES; i++) fs.writeSync(fd, page, 0, PAGE_BYTES, i * PAGE_BYTES)
  fs.fsyncSync(fd)
  let next = 0
  const writeAndSync = () => {
    next = (next + 7) % PAGES
    fs.writeSync(fd, page, 0, PAGE_BYTES, next * PAGE_BYTES)
    fs.fdatasyncSync(fd)
  }
  return {
    set () { writeAndSync(); writeAndSync() },
    setMany () {},
    close: () => fs.closeSync(fd)
  }
}

module.exports = { name: 'two device syncs', version: () => '-', open, baseline: true }
