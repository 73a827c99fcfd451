'use strict'

// better-sqlite3 as docs/performance.md (github.com/WiseLibs/better-sqlite3) advises: WAL, and
// `synchronous = FULL` where durability is compared, since its build defaults to NORMAL in WAL
// mode. Statements are prepared once, bulk writes run in `db.transaction`, single columns come by
// `pluck()` and rows by `raw()` (docs/api.md). A page cache and a map that hold the whole file are
// what sqlite.org/pragma.html offers for reading. Float32Array is stored as a BLOB, the rest as
// JSON text. What is read and then written is one `immediate()` transaction (docs/api.md), since
// SQLite refuses to make a reader the writer where another was first (sqlite.org/isolation.html);
// processes that write at the same time wait for each other for as long as it takes (`timeout`).

const fs = require('node:fs')
const path = require('node:path')
const Database = require('better-sqlite3')
const { version } = require('better-sqlite3/package.json')

const BUSY_TIMEOUT_MS = 60_000

const UPSERT = 'INSERT INTO entries VALUES (?, ?) ' +
  'ON CONFLICT (key) DO UPDATE SET value = excluded.value'

const INCREMENT = 'UPDATE entries SET value = value + 1 WHERE key = ? RETURNING value'

function connect (file, synchronous) {
  const db = new Database(file, { timeout: BUSY_TIMEOUT_MS })
  db.pragma('journal_mode = WAL')
  db.pragma(`synchronous = ${synchronous}`)
  db.pragma('cache_size = -262144')
  db.pragma('mmap_size = 1073741824')
  db.exec('CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY, value)')
  return db
}

function open (directory, kind, synchronous) {
  const file = path.join(directory, 'bench.sqlite')
  const db = connect(file, synchronous)
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
  const increment = db.prepare(INCREMENT).pluck()
  const update = db.transaction((key, change) => {
    upsert.run(key, encode(change(decode(select.get(key)))))
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
    increment: key => increment.get(key),
    update: (key, change) => update.immediate(key, change),
    clear: () => db.exec('DELETE FROM entries'),
    space: () => spaceOf(db, file),
    close: () => db.close(),
    db
  }
}

/** The log counts: it is a file on the disk, too. */
function spaceOf (db, file) {
  const pragma = name => db.pragma(name, { simple: true })
  return {
    fileBytes: fs.statSync(file).size + fs.statSync(`${file}-wal`).size,
    liveBytes: (pragma('page_count') - pragma('freelist_count')) * pragma('page_size')
  }
}

const makePeer = (name, synchronous) => ({
  name,
  version: () => version,
  open: (directory, kind) => open(directory, kind, synchronous)
})

module.exports = { ...makePeer('better-sqlite3', 'FULL'), makePeer }
