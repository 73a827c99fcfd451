'use strict'

// A process may end at any moment and in any way; an open store neither keeps it alive nor
// crashes it, and leaves nothing locked.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const path = require('node:path')
const { temporaryDirectory, temporaryStore } = require('./support/store')
const { startAgent } = require('./support/agents')

const endings = {
  'its work is done': ['end', 0],
  'its work is done in a promise': ['promise', 0],
  'it calls process.exit': ['exit', 7],
  'it calls process.exit inside update': ['exit in update', 7],
  'it calls process.exit inside a loop over entries': ['exit in loop', 7],
  'it calls process.exit while a backup is being made': ['exit in backup', 7],
  'it writes in its exit handler': ['write at exit', 0],
  'it closes in its exit handler': ['close at exit', 0],
  'it throws': ['throw', 1],
  'a promise is rejected': ['reject', 1],
  'it exits with a worker thread writing': ['exit with worker', 7],
  'the default store was never used': ['import only', 0]
}

for (const [when, [ending, expected]] of Object.entries(endings)) {
  test(`a process with an open store ends when ${when}`, { timeout: 60_000 }, async (t) => {
    const store = temporaryStore(t)
    const copy = path.join(temporaryDirectory(t), 'copy')
    const agent = startAgent(t, 'exit', { path: store.path, ending, copy })
    const said = await agent.all()
    const { code, signal, stderr } = await agent.exited
    assert.equal(signal, null, stderr)
    assert.equal(code, expected, stderr)
    if (ending !== 'import only') {
      assert.deepEqual(said, [{ wrote: 1 }])
      assert.equal(store.get('key'), ending === 'write at exit' ? 2 : 1)
    }
    store.set('key', 'nothing is locked')
  })
}
