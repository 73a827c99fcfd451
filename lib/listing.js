'use strict'

// What reads make of native results: entries, and all of a scan at once.

const { drain } = require('./output')

/** An entry as callers see it, of what `readEntry` gives. */
function makeEntry (key, found) {
  if (found === undefined) return undefined
  const [fields, value] = found
  const [version, createdAt, updatedAt, expiresAt, createdBy, updatedBy, metadata] = fields
  const entry = {
    key,
    value,
    version,
    createdAt: new Date(createdAt),
    updatedAt: new Date(updatedAt),
    createdBy,
    updatedBy,
    metadata: JSON.parse(metadata)
  }
  if (expiresAt !== null) entry.expiresAt = new Date(expiresAt)
  return entry
}

/** All entries of a scan as an object. */
function collect (scan) {
  const all = {}
  drain(scan, true, (keys, values) => {
    for (let index = 0; index < keys.length; index++) {
      const key = keys[index]
      if (key in Object.prototype) define(all, key, values[index])
      else all[key] = values[index]
    }
  })
  return all
}

/** All keys of a scan without values. */
function collectKeys (scan) {
  let all = []
  drain(scan, false, (keys) => { all = all.length === 0 ? keys : append(all, keys) })
  return all
}

function define (object, key, value) {
  const writable = true
  Object.defineProperty(object, key, { value, writable, enumerable: true, configurable: true })
}

function append (all, more) {
  for (const item of more) all.push(item)
  return all
}

module.exports = { makeEntry, collect, collectKeys, define }
