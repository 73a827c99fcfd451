'use strict'

// Stores in temporary directories that are gone when their test is over.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { openStore, DataStoreError } = require('../..')

/** A new directory with mode 0700, removed after the test. */
function temporaryDirectory (t) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commonhold-test-'))
  t.after(() => fs.rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** An open store in a new directory, closed and removed after the test. */
function temporaryStore (t, options) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'commonhold-test-'))
  const store = openStore({ path: path.join(directory, 'store'), ...options })
  t.after(() => {
    store.close()
    fs.rmSync(directory, { recursive: true, force: true })
  })
  return store
}

/** A namespace of a new store. */
const temporaryNamespace = (t, options) => temporaryStore(t).useNamespace('test', options)

/** Asserts that a call throws an error of this package with this code; returns the error. */
function throwsCode (fn, code, { type = Error, message = /./ } = {}) {
  let thrown
  assert.throws(fn, (error) => {
    thrown = error
    return checkError(error, code, { type, message })
  })
  return thrown
}

/** As `throwsCode`, for a promise. */
async function rejectsCode (promise, code, { type = Error, message = /./ } = {}) {
  await assert.rejects(promise, (error) => checkError(error, code, { type, message }))
}

function checkError (error, code, { type, message }) {
  assert.equal(error.code, code, error.stack)
  assert.ok(error instanceof DataStoreError, 'is a DataStoreError')
  assert.ok(error instanceof type, `is a ${type.name}, not a ${error.constructor.name}`)
  assert.match(error.message, message)
  return true
}

/** Asserts equal own properties, whatever the prototype and the order. */
function sameProperties (actual, expected) {
  const byKey = ([a], [b]) => (a < b ? -1 : 1)
  assert.deepEqual(Object.entries(actual).sort(byKey), Object.entries(expected).sort(byKey))
}

module.exports = {
  rejectsCode,
  sameProperties,
  temporaryDirectory,
  temporaryNamespace,
  temporaryStore,
  throwsCode
}
