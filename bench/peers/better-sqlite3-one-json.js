'use strict'

// better-sqlite3 reading a whole table as one JSON text that JavaScript parses once: not what its
// documentation shows, but the fastest way to such an object that we found, so it is in the table.

const peer = require('./better-sqlite3')

const ONE_OBJECT = "SELECT '{' || group_concat(json_quote(key) || ':' || value) || '}' FROM " +
  '(SELECT key, value FROM entries ORDER BY key)'

function open (directory, kind) {
  const store = peer.open(directory, kind)
  const selectObject = store.db.prepare(ONE_OBJECT).pluck()
  return { ...store, getAll: () => JSON.parse(selectObject.get()) }
}

module.exports = { ...peer, name: 'better-sqlite3, one JSON', open }
