'use strict'

// For each flip: copies the store, flips the bit, reads all in every way, and says what it found.

const { isDeepStrictEqual } = require('node:util')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('../..')
const { args, outcome, say } = require('../support/agent')

const expected = JSON.parse(fs.readFileSync(args.expectedFile, 'utf8'))
const scratch = fs.mkdtempSync(path.join(path.dirname(args.directory), 'flip-'))

function damagedCopy ([offset, bit], index) {
  const copy = path.join(scratch, String(index))
  fs.mkdirSync(copy, { mode: 0o700 })
  for (const name of ['data.mdb', 'commonhold.json']) {
    fs.copyFileSync(path.join(args.directory, name), path.join(copy, name))
  }
  const data = fs.readFileSync(path.join(copy, 'data.mdb'))
  data[offset] ^= 1 << bit
  fs.writeFileSync(path.join(copy, 'data.mdb'), data)
  return copy
}

const absent = Symbol('absent')

/** Reads one namespace in every way; adds to the findings. */
function readNamespace (namespace, values, found) {
  const check = (key, value) => {
    if (!isDeepStrictEqual(value, values[key])) found.wrong.push([namespace.name, key, value])
  }
  const attempt = (read) => {
    const { value, code, message } = outcome(read)
    if (code === undefined) return value
    if (!/^ERR_/.test(code)) found.wrong.push([namespace.name, code, message])
    found.errors += 1
  }
  for (const key of Object.keys(values)) {
    const value = attempt(() => namespace.get(key, absent))
    const entry = attempt(() => namespace.getEntry(key))
    if (value === absent) found.missing += 1
    else if (value !== undefined) check(key, value)
    if (entry !== undefined) check(key, entry.value)
  }
  for (const read of [() => Object.entries(namespace.getAll()), () => [...namespace]]) {
    for (const [key, value] of attempt(read) ?? []) check(key, value)
  }
}

function readAll (directory) {
  const found = { wrong: [], errors: 0, missing: 0 }
  const { value: store, code } = outcome(() => openStore(directory))
  if (store === undefined) return { ...found, refused: code }
  for (const [name, values] of Object.entries(expected)) {
    readNamespace(store.useNamespace(name), values, found)
  }
  store.close()
  return found
}

args.flips.forEach((flip, index) => {
  const copy = damagedCopy(flip, index)
  say(readAll(copy))
  fs.rmSync(copy, { recursive: true })
})
