'use strict'

// Process ids are what LMDB knows its readers by, so processes of two containers must not share.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const { openStore } = require('..')
const { temporaryStore } = require('./support/store')
const { runAgent } = require('./support/agents')

const elsewhere = ['unshare', '-pf', '--mount-proc']

function skip () {
  if (process.platform !== 'linux') return 'pid namespaces are of Linux'
  const { status } = spawnSync(elsewhere[0], [...elsewhere.slice(1), 'true'])
  return status !== 0 && 'needs root, to make a pid namespace'
}

const needsNamespace = { skip: skip(), timeout: 60_000 }

test('a store in use is refused to another pid namespace', needsNamespace, async (t) => {
  const store = temporaryStore(t)
  store.set('key', 1)
  const options = { path: store.path }
  const [refused] = await runAgent(t, 'open', { options }, { command: elsewhere })
  assert.equal(refused.code, 'ERR_PID_NAMESPACE', refused.message)
  store.set('key', 2)
  assert.equal(store.get('key'), 2)
  store.close()
  const [opened] = await runAgent(t, 'open', { options }, { command: elsewhere })
  assert.equal(opened.code, undefined, opened.message)
  assert.equal(opened.got, 2)
  const again = openStore(store.path)
  assert.equal(again.get('key'), 2, 'and it comes back to us when they are gone')
  again.close()
})
