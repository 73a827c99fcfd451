'use strict'

// better-sqlite3 with `synchronous = NORMAL`, its build's default in WAL mode
// (docs/compilation.md, SQLITE_DEFAULT_WAL_SYNCHRONOUS=1): the log is synced only before a
// checkpoint, so a power cut may lose the latest commits, but never harms the file
// (sqlite.org/pragma.html, "synchronous"). Checkpoints come by themselves, every 1,000 pages.

const { makePeer } = require('./better-sqlite3')

module.exports = makePeer('better-sqlite3, NORMAL', 'NORMAL')
