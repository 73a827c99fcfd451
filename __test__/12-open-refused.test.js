'use strict'

// Whatever is wrong with a directory is found before it is mapped, and nothing is recreated.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('..')
const { temporaryDirectory, throwsCode } = require('./support/store')

const isRoot = process.getuid?.() === 0
const needsRoot = { skip: !isRoot && 'needs root' }
const notOnWindows = { skip: process.platform === 'win32' && 'POSIX modes' }
const nobody = 65534

/** A closed store with one key. */
function closedStore (t) {
  const directory = path.join(temporaryDirectory(t), 'store')
  const store = openStore(directory)
  store.set('key', 'value')
  store.close()
  return { directory, data: path.join(directory, 'data.mdb') }
}

const listing = (directory) =>
  fs.readdirSync(directory).map((name) => [name, fs.statSync(path.join(directory, name)).size])

test('a directory that others may write to is refused', notOnWindows, (t) => {
  for (const mode of [0o777, 0o770, 0o702, 0o1777]) {
    // A directory for everybody, such as /tmp, is to be left as it is.
    const message = mode & 0o1000 ? /name a directory of your own below it$/ : /chmod go-w/
    const directory = path.join(temporaryDirectory(t), 'open')
    fs.mkdirSync(directory)
    fs.chmodSync(directory, mode)
    throwsCode(() => openStore(directory), 'ERR_UNSAFE_PATH', { message })
    assert.deepEqual(fs.readdirSync(directory), [], 'nothing was created in it')
  }
})

test('an existing store whose directory was opened to others is refused', notOnWindows, (t) => {
  const { directory } = closedStore(t)
  fs.chmodSync(directory, 0o777)
  throwsCode(() => openStore(directory), 'ERR_UNSAFE_PATH')
  fs.chmodSync(directory, 0o700)
  const store = openStore(directory)
  assert.equal(store.get('key'), 'value')
  store.close()
})

test('a directory of another user is refused, also for root', needsRoot, (t) => {
  const directory = path.join(temporaryDirectory(t), 'foreign')
  fs.mkdirSync(directory, { mode: 0o700 })
  fs.chownSync(directory, nobody, nobody)
  throwsCode(() => openStore(directory), 'ERR_UNSAFE_PATH')
  assert.deepEqual(fs.readdirSync(directory), [])
})

test('a link that leads to another user\'s directory is refused', needsRoot, (t) => {
  const directory = temporaryDirectory(t)
  const foreign = path.join(directory, 'foreign')
  fs.mkdirSync(foreign, { mode: 0o700 })
  fs.chownSync(foreign, nobody, nobody)
  fs.symlinkSync(foreign, path.join(directory, 'link'))
  throwsCode(() => openStore(path.join(directory, 'link')), 'ERR_UNSAFE_PATH')
})

test('a data file that is a link to elsewhere is refused', notOnWindows, (t) => {
  const { directory, data } = closedStore(t)
  const elsewhere = path.join(path.dirname(directory), 'elsewhere.mdb')
  fs.renameSync(data, elsewhere)
  fs.symlinkSync(elsewhere, data)
  throwsCode(() => openStore(directory), 'ERR_UNSAFE_PATH')
})

test('a file where the directory should be is a clear error', (t) => {
  const file = path.join(temporaryDirectory(t), 'file')
  fs.writeFileSync(file, 'mine')
  assert.throws(
    () => openStore(file),
    (error) => ['ERR_UNSAFE_PATH', 'ERR_IO', 'ERR_INVALID_OPTION'].includes(error.code)
  )
  assert.equal(fs.readFileSync(file, 'utf8'), 'mine')
})

test('a store of a newer format is refused untouched', (t) => {
  const { directory } = closedStore(t)
  const marker = path.join(directory, 'commonhold.json')
  const content = JSON.parse(fs.readFileSync(marker, 'utf8'))
  assert.equal(content.format, 1)
  fs.writeFileSync(marker, JSON.stringify({ ...content, format: 2 }))
  const before = listing(directory)
  throwsCode(() => openStore(directory), 'ERR_FORMAT_VERSION', { message: /2/ })
  assert.deepEqual(listing(directory), before)
})

test('a marker that cannot be read is ERR_CORRUPT', (t) => {
  for (const text of ['', '{', '[]', '{"format":"one"}']) {
    const { directory } = closedStore(t)
    fs.writeFileSync(path.join(directory, 'commonhold.json'), text)
    throwsCode(() => openStore(directory), 'ERR_CORRUPT')
  }
})

test('a data file that is gone is ERR_CORRUPT, and no empty store takes its place', (t) => {
  const { directory, data } = closedStore(t)
  fs.rmSync(data)
  for (const readOnly of [false, true]) {
    throwsCode(() => openStore({ path: directory, readOnly }), 'ERR_CORRUPT')
  }
  assert.equal(fs.existsSync(data), false)
})

test('a data file cut short is ERR_CORRUPT and stays as it is', (t) => {
  for (const length of [0, 1, 4096, 8192]) {
    const { directory, data } = closedStore(t)
    fs.truncateSync(data, length)
    throwsCode(() => openStore(directory), 'ERR_CORRUPT')
    assert.equal(fs.statSync(data).size, length)
  }
})

test('a data file of zeros or of noise is ERR_CORRUPT', (t) => {
  for (const byte of [0x00, 0xa5]) {
    const { directory, data } = closedStore(t)
    fs.writeFileSync(data, Buffer.alloc(fs.statSync(data).size, byte))
    throwsCode(() => openStore(directory), 'ERR_CORRUPT')
  }
})

test('a directory that cannot be made is ERR_IO and names it', (t) => {
  const file = path.join(temporaryDirectory(t), 'file')
  fs.writeFileSync(file, '')
  assert.throws(
    () => openStore(path.join(file, 'store')),
    (error) => typeof error.code === 'string' && error.message.includes(file)
  )
})
