'use strict'

// For each damage: copies the store, damages it, reads all in every way, and says what it found.

const { isDeepStrictEqual } = require('node:util')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('../..')
const { args, outcome, say } = require('../support/agent')
const { damaged } = require('../support/damage')

const expected = JSON.parse(fs.readFileSync(args.expectedFile, 'utf8'))
const scratch = fs.mkdtempSync(path.join(path.dirname(args.directory), 'damaged-'))

function damagedCopy (damage, index) {
  const copy = path.join(scratch, String(index))
  fs.mkdirSync(copy, { mode: 0o700 })
  for (const name of ['data.mdb', 'commonhold.json']) {
    fs.copyFileSync(path.join(args.directory, name), path.join(copy, name))
  }
  const data = fs.readFileSync(path.join(copy, 'data.mdb'))
  fs.writeFileSync(path.join(copy, 'data.mdb'), damaged(data, damage))
  return copy
}

const absent = Symbol('absent')

/** Reads one namespace in every way; adds to the findings. */
function readNamespace (namespace, values, found) {
  const check = (key, value) => {
    if (!isDeepStrictEqual(value, values[key])) found.wrong.push([namespace.name, key, value])
  }
  const attempt = (read) => attemptTo(read, namespace.name, found)
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

/** Calls that throw something else than an error of this package count as wrong. */
function attemptTo (read, name, found) {
  const { value, code, message } = outcome(read)
  if (code === undefined) return value
  if (!/^ERR_/.test(code)) found.wrong.push([name, code, message])
  found.errors += 1
}

/** Reads the queue, task by task and as a list. */
function readQueue (queue, items, found) {
  const attempt = (read) => attemptTo(read, queue.name, found)
  const check = (task) => {
    if (!isDeepStrictEqual(task.item, items[task.id])) found.wrong.push([queue.name, task.id, task.item])
  }
  for (const id of Object.keys(items)) {
    const task = attempt(() => queue.get(id) ?? absent)
    if (task === absent) found.missing += 1
    else if (task !== undefined) check(task)
  }
  for (const task of attempt(() => queue.list()) ?? []) check(task)
}

function readAll (directory) {
  const found = { wrong: [], errors: 0, missing: 0 }
  const { value: store, code } = outcome(() => openStore(directory))
  if (store === undefined) return { ...found, refused: code }
  for (const [name, values] of Object.entries(expected.namespaces)) {
    readNamespace(store.useNamespace(name), values, found)
  }
  readQueue(store.useQueue('work'), expected.tasks, found)
  store.close()
  return found
}

args.damages.forEach((damage, index) => {
  const copy = damagedCopy(damage, index)
  say(readAll(copy))
  fs.rmSync(copy, { recursive: true })
})
