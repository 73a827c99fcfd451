'use strict'

// lmdb-js as its README advises (github.com/kriszyp/lmdb-js): `open` with MessagePack, the default
// encoding; "None of these [flags] need to be set, the defaults can always be used". The default
// overlappingSync ends every synchronous commit with two device syncs (seen with strace), so
// `putSync` and `transactionSync` are as durable as a strict set. Float32Array goes through a
// 'binary' database, which is faster than its typed array extension; a plain default database
// returns a Buffer for it. `forEach` over a range was faster than `for ... of` and `asArray`.

const path = require('node:path')
const lmdb = require('lmdb')

// Its package.json is not among its exports.
const { version } = require(path.join(require.resolve('lmdb'), '..', '..', 'package.json'))

/** The peer with these options of lmdb-js; `lmdb-shared.js` adds shared structures. */
function makePeer (name, options) {
  return { name, version: () => version, open: (directory, kind) => open(directory, kind, options) }
}

function open (directory, kind, options) {
  const binary = kind === 'float32'
  const db = lmdb.open({ path: directory, ...(binary ? { encoding: 'binary' } : options) })
  const encode = binary ? array => Buffer.from(array.buffer) : value => value
  const decode = binary
    ? bytes => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    : value => value
  return {
    get: binary ? key => decode(db.get(key)) : key => db.get(key),
    getAll () {
      const all = {}
      db.getRange().forEach(({ key, value }) => {
        // The shared structures lie in the same database under a symbol.
        if (typeof key === 'string') all[key] = decode(value)
      })
      return all
    },
    listKeys (prefix) {
      const keys = []
      db.getKeys(rangeOf(prefix)).forEach(key => { keys.push(key) })
      return keys
    },
    set: (key, value) => db.putSync(key, encode(value)),
    setMany: entries => db.transactionSync(() => {
      for (const [key, value] of entries) db.put(key, encode(value))
    }),
    increment: key => db.transactionSync(() => {
      const next = db.get(key) + 1
      db.put(key, next)
      return next
    }),
    update: (key, change) => db.transactionSync(() => { db.put(key, change(db.get(key))) }),
    clear: () => db.clearSync(),
    close: () => db.close(),
    db
  }
}

const rangeOf = prefix => prefix === undefined
  ? undefined
  : { start: prefix, end: prefix + '\uffff' }

module.exports = { ...makePeer('lmdb', {}), makePeer }
