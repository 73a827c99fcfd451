'use strict'

// Watching and waiting over processes that write, are killed, are stopped and exit. What writers
// had said before is the oracle: it left them after the store had acknowledged the commit.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { temporaryDirectory, temporaryStore } = require('./support/store')
const { seededRandom } = require('./support/random')
const { runAgent, startAgent } = require('./support/agents')
const { weakenedPackage, without } = require('./support/weakened')
const { fold, take, takeUntil } = require('./support/watching')

const generous = { timeout: 240_000 }
const isEnd = ({ key }) => key === 'end'

/** Changes as commits: { version, keys }. */
function commitsOf (changes) {
  const commits = []
  let keys = []
  for (const { version, key, last } of changes) {
    keys.push(key)
    if (!last) continue
    commits.push({ version, keys })
    keys = []
  }
  assert.deepEqual(keys, [], 'the last commit was told whole')
  return commits
}

/** What writers said, in the order of versions. */
const inOrder = (said) => said.flat().sort((a, b) => a.version - b.version)

/** Fails unless `commits` are those that writers acknowledged, each once, in order, and whole. */
function verify (commits, acknowledged) {
  assert.deepEqual(commits, inOrder(acknowledged))
}

test('the check finds a commit that is missing, twice, torn, or out of order', () => {
  const commits = [{ version: 1, keys: ['a'] }, { version: 2, keys: ['b', 'c'] }]
  verify(commits, [[commits[1]], [commits[0]]])
  for (const wrong of [
    [commits[0]],
    [...commits, commits[1]],
    [commits[0], { version: 2, keys: ['b'] }],
    [commits[1], commits[0]]
  ]) assert.throws(() => verify(wrong, [commits]), /AssertionError/)
})

test('the commits of four processes are told in order and complete', generous, async (t) => {
  const random = seededRandom(t)
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  const directory = temporaryDirectory(t)
  const here = takeUntil(namespace.watch(), isEnd)
  const logs = [false, true].map((readOnly) => path.join(directory, `read-only ${readOnly}`))
  const watchers = logs.map((log) =>
    runAgent(t, 'handle', { path: store.path, log, readOnly: log.endsWith('true') }))
  const said = await Promise.all(['a', 'b', 'c', 'd'].map((name) =>
    runAgent(t, 'commit', { path: store.path, name, commits: 60, seed: random.below(2 ** 32) })))
  said.push([{ version: namespace.set('end', true), keys: ['end'] }])
  verify(commitsOf(await here), said)
  await Promise.all(watchers)
  for (const log of logs) verify(linesOf(log), said)
})

const linesOf = (log) => fs.readFileSync(log, 'utf8').split('\n').slice(0, -1).map(JSON.parse)

test('a watcher that is killed again and again handles every commit exactly once', generous,
  async (t) => {
    const random = seededRandom(t)
    const store = temporaryStore(t)
    const log = path.join(temporaryDirectory(t), 'log')
    const writers = ['a', 'b'].map((name) =>
      runAgent(t, 'commit', { path: store.path, name, commits: 300, seed: random.below(2 ** 32) }))
    const progress = { kills: 0, over: false }
    const said = Promise.all(writers).finally(() => { progress.over = true })
    while (!progress.over) {
      const watcher = startAgent(t, 'handle', { path: store.path, log })
      const lines = random.below(30)
      for (let n = 0; n < lines && !progress.over; n++) await watcher.next()
      watcher.kill('SIGKILL')
      await watcher.exited
      progress.kills++
    }
    const all = await said
    all.push([{ version: store.useNamespace('n').set('end', true), keys: ['end'] }])
    await runAgent(t, 'handle', { path: store.path, log })
    verify(linesOf(log), all)
    t.diagnostic(`${progress.kills} kills`)
    assert.ok(progress.kills > 0)
  })

test('the last commit of a writer that is killed is told', generous, async (t) => {
  const random = seededRandom(t)
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  const watcher = namespace.watch()
  let told = 0
  for (let round = 0; round < 20; round++) {
    const seed = random.below(2 ** 32)
    const writer = startAgent(t, 'commit', { path: store.path, name: `${round}`, seed })
    const lines = 1 + random.below(20)
    for (let n = 0; n < lines; n++) await writer.next()
    writer.kill('SIGKILL')
    await writer.exited
    // Nobody writes any more. What it committed may be one more than it said; it is told whether
    // or not the writer came to waking anybody.
    const changes = await take(watcher, namespace.count() - told)
    told = namespace.count()
    assert.equal(changes.at(-1).last, true)
    assert.equal(new Set(changes.map(({ key }) => key)).size, changes.length)
  }
})

/** Two processes that answer each other. */
function play (t, args, options) {
  const players = [[true, 'a', 'b'], [false, 'b', 'a']].map(([first, mine, theirs]) =>
    runAgent(t, 'wait', { task: 'ping-pong', first, mine, theirs, ...args }, options))
  return Promise.all(players)
}

test('a thousand rounds between two processes, each woken by the other', generous, async (t) => {
  const { path } = temporaryStore(t)
  assert.deepEqual(await play(t, { path, rounds: 1000 }), [[{ rounds: 1000 }], [{ rounds: 1000 }]])
})

test('without wake-ups each round would take a second', generous, async (t) => {
  const args = { path: path.join(temporaryDirectory(t), 'store'), package: weakenedPackage(t) }
  const begin = performance.now()
  await play(t, { ...args, rounds: 6 }, without('wake'))
  // So the thousand rounds would not end within their test's time.
  assert.ok(performance.now() - begin > 3000)
})

test('a process that only watches ends when its work is done', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  namespace.set('key', 1)
  const watcher = startAgent(t, 'tell', { path: store.path })
  assert.equal((await watcher.next()).key, 'key')
  namespace.set('end', 1)
  assert.equal((await watcher.next()).key, 'end')
  assert.deepEqual(await watcher.exited, { code: 0, signal: null, stderr: '' })
})

test('an idle watcher keeps no process alive', generous, async (t) => {
  const store = temporaryStore(t)
  store.useNamespace('n').set('key', 1)
  const said = await runAgent(t, 'wait', { task: 'idle', path: store.path })
  assert.deepEqual(said, [{ outcomes: ['rejected', 'rejected'] }])
})

test('a pending next() and a pending waitFor() keep theirs alive', generous, async (t) => {
  const store = temporaryStore(t)
  const agent = startAgent(t, 'wait', { task: 'pending', path: store.path })
  assert.deepEqual(await agent.next(), { waiting: true })
  store.useNamespace('n').set('other', 1)
  store.useNamespace('n').set('awaited', 5)
  assert.deepEqual(await agent.next(), { told: 5, value: 5 })
  assert.deepEqual(await agent.exited, { code: 0, signal: null, stderr: '' })
})

test('a process may exit at any time while changes stream in', generous, async (t) => {
  const random = seededRandom(t)
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  for (let round = 0; round < 40; round++) {
    const seed = random.below(2 ** 32)
    const agent = startAgent(t, 'wait', { task: 'exit', path: store.path, seed })
    const progress = { over: false }
    const exited = agent.exited.finally(() => { progress.over = true })
    for (let n = 0; !progress.over; n++) {
      namespace.set(`key ${n % 200}`, n)
      await new Promise((resolve) => setImmediate(resolve))
    }
    assert.deepEqual(await exited, { code: 0, signal: null, stderr: '' }, `round ${round}`)
  }
})

test('a watcher that stood still while the history went by is reset', {
  ...generous, skip: process.platform === 'win32' && 'has no SIGSTOP'
}, async (t) => {
  const store = temporaryStore(t, { history: { maxBytes: 65_536 } })
  const namespace = store.useNamespace('n')
  namespace.set('first', 1)
  const watcher = startAgent(t, 'tell', { path: store.path })
  assert.equal((await watcher.next()).key, 'first')
  watcher.kill('SIGSTOP')
  namespace.set('deleted while it stood', 1)
  namespace.delete('deleted while it stood')
  namespace.delete('first')
  const keys = Array.from({ length: 1000 }, (_, n) => `a key of some length, number ${n}`)
  for (let n = 0; n < 6; n++) namespace.setMany(keys.map((key) => [key, n]))
  watcher.kill('SIGCONT')
  namespace.set('end', 1)
  const told = await watcher.all()
  assert.deepEqual(await watcher.exited, { code: 0, signal: null, stderr: '' })
  assert.ok(told.some(({ type }) => type === 'reset'))
  assert.deepEqual(fold(told, { first: 1 }), namespace.getAll())
})

test('a read-only store watches what others write, and what expires', generous, async (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  namespace.set('key', 1)
  const watcher = startAgent(t, 'tell', { path: store.path, readOnly: true })
  const told = [await watcher.next()]
  // Long enough to be told before it expires, also on a busy machine.
  namespace.set('short', 1, { ttl: 2000 })
  const { expiresAt } = namespace.getEntry('short')
  do told.push(await watcher.next()); while (told.at(-1).type !== 'expire')
  assert.ok(Date.now() >= expiresAt)
  namespace.delete('key')
  namespace.clear()
  namespace.set('end', 1)
  told.push(...await watcher.all())
  assert.deepEqual(told.map(({ type }) => type), ['set', 'set', 'expire', 'delete', 'set'])
  assert.deepEqual(await watcher.exited, { code: 0, signal: null, stderr: '' })
})

test('what a process that has ended let expire is told by who watches', generous, async (t) => {
  const store = temporaryStore(t)
  const watcher = store.watch()
  const args = { path: store.path, name: 'x', seed: 1, commits: 1, ttl: 300 }
  const writer = startAgent(t, 'commit', args)
  const { keys } = await writer.next()
  await writer.exited
  const told = await take(watcher, 2 * keys.length)
  const types = ['set', 'expire'].flatMap((type) => keys.map(() => type))
  assert.deepEqual(told.map(({ type }) => type), types)
  assert.deepEqual(told.slice(keys.length).map(({ key }) => key).sort(), keys)
})
