'use strict'

// Another user of the machine gets nothing, and gives nothing to us.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('..')
const { temporaryDirectory, throwsCode } = require('./support/store')
const { runAgent } = require('./support/agents')

const nobody = 65534
const asNobody = { uid: nobody, gid: nobody, cwd: '/' }

/** Why these tests cannot run here, or false. */
function skip () {
  if (process.getuid?.() !== 0) return 'needs root, to become another user'
  const script = `require(${JSON.stringify(path.join(__dirname, '..'))})`
  const { status, error } = spawnSync(process.execPath, ['-e', script], asNobody)
  return status !== 0 && `user ${nobody} cannot load the package here (${error ?? status})`
}

const needsOtherUser = { skip: skip() }
const env = { PATH: process.env.PATH, HOME: '/nonexistent' }
const report = async (t, options) =>
  (await runAgent(t, 'open', { options }, { ...asNobody, env }))[0]

/** A directory that everybody may enter, with our store in it. */
function storeInPublicPlace (t) {
  const place = temporaryDirectory(t)
  fs.chmodSync(place, 0o755)
  const store = openStore(path.join(place, 'store'))
  store.set('secret', 'value')
  t.after(() => store.close())
  return { place, store }
}

test('another user cannot open our store, for reading or writing', needsOtherUser, async (t) => {
  const { store } = storeInPublicPlace(t)
  for (const readOnly of [false, true]) {
    const { code, message, got } = await report(t, { path: store.path, readOnly })
    assert.equal(code, 'ERR_UNSAFE_PATH', message)
    assert.equal(got, undefined)
  }
})

test('nor when we have opened its modes by mistake', needsOtherUser, async (t) => {
  const { store } = storeInPublicPlace(t)
  fs.chmodSync(store.path, 0o755)
  for (const file of fs.readdirSync(store.path)) fs.chmodSync(path.join(store.path, file), 0o666)
  const { code, message } = await report(t, { path: store.path })
  assert.equal(code, 'ERR_UNSAFE_PATH', message)
})

test('a link of another user\'s to our store leads him nowhere', needsOtherUser, async (t) => {
  const { place, store } = storeInPublicPlace(t)
  const link = path.join(place, 'link')
  fs.symlinkSync(store.path, link)
  fs.lchownSync(link, nobody, nobody)
  const { code, message } = await report(t, { path: link })
  assert.equal(code, 'ERR_UNSAFE_PATH', message)
})

test('we do not open another user\'s store, even where we could', needsOtherUser, async (t) => {
  const place = temporaryDirectory(t)
  fs.chmodSync(place, 0o755)
  const home = path.join(place, 'home')
  fs.mkdirSync(home, { mode: 0o700 })
  fs.chownSync(home, nobody, nobody)
  const theirs = path.join(home, 'store')
  const { code, path: opened } = await report(t, { path: theirs })
  assert.equal(code, undefined)
  assert.equal(opened, theirs)
  assert.equal(fs.statSync(theirs).uid, nobody)
  throwsCode(() => openStore(theirs), 'ERR_UNSAFE_PATH')
  throwsCode(() => openStore({ path: theirs, readOnly: true }), 'ERR_UNSAFE_PATH')
})
