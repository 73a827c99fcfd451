'use strict'

// better-sqlite3 as docs/performance.md (github.com/WiseLibs/better-sqlite3) advises: WAL, and
// `synchronous = FULL` where durability is compared, since its build defaults to NORMAL in WAL
// mode. Statements are prepared once, bulk writes run in `db.transaction`, single columns come by
// `pluck()` and rows by `raw()` (docs/api.md). A page cache and a map that hold the whole file are
// what sqlite.org/pragma.html offers for reading. Float32Array is stored as a BLOB, the rest as
// JSON text.

const path = require('node:path')
const Database = require('better-sqlite3')
const { version } = require('better-sqlite3/package.json')

const UPSERT = 'INSERT INTO entries VALUES (?, ?) ' +
  'ON CONFLICT (key) DO UPDATE SET value = excluded.value'

function connect (directory) {
  const db = new Database(path.join(directory, 'bench.sqlite'))
  db.pragma('journal_mode = WAL')
  db.pragma('synchronous = FULL')
  db.pragma('cache_size = -262144')
  db.pragma('mmap_size = 1073741824')
  db.exec('CREATE TABLE entries (key TEXT PRIMARY KEY, value)')
  return db
}

function open (directory, kind) {
  const db = connect(directory)
  const binary = kind === 'float32'
  const encode = binary ? array => Buffer.from(array.buffer) : JSON.stringify
  const decode = binary
    ? bytes => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    : JSON.parse
  const select = db.prepare('SELECT value FROM entries WHERE key = ?').pluck()
  const selectAll = db.prepare('SELECT key, value FROM entries ORDER BY key').raw()
  const selectKeys = db.prepare('SELECT key FROM entries ORDER BY key').pluck()
  const selectPrefix = db
    .prepare('SELECT key FROM entries WHERE key >= ? AND key < ? ORDER BY key').pluck()
  const upsert = db.prepare(UPSERT)
  const upsertMany = db.transaction(entries => {
    for (const [key, value] of entries) upsert.run(key, encode(value))
  })
  return {
    get: key => decode(select.get(key)),
    getAll () {
      const all = {}
      for (const [key, value] of selectAll.iterate()) all[key] = decode(value)
      return all
    },
    listKeys: prefix => prefix === undefined
      ? selectKeys.all()
      : selectPrefix.all(prefix, prefix + '\u{10ffff}'),
    set: (key, value) => upsert.run(key, encode(value)),
    setMany: entries => upsertMany(entries),
    clear: () => db.exec('DELETE FROM entries'),
    close: () => db.close(),
    db
  }
}

module.exports = { name: 'better-sqlite3', version: () => version, open }
