'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('..')
const { temporaryDirectory, temporaryStore, throwsCode } = require('./support/store')
const { runAgent } = require('./support/agents')

const mode = (file) => fs.statSync(file).mode & 0o777
const report = async (t, args, env) =>
  (await runAgent(t, 'open', args, { env: { PATH: process.env.PATH, ...env } }))[0]

test('opening creates a private directory with private files', (t) => {
  const directory = path.join(temporaryDirectory(t), 'a', 'b')
  const before = process.umask(0)
  t.after(() => process.umask(before))
  const store = openStore(directory)
  store.set('key', 1)
  assert.equal(mode(directory), 0o700)
  for (const name of fs.readdirSync(directory, { recursive: true })) {
    const file = path.join(directory, name)
    assert.equal(mode(file), fs.statSync(file).isDirectory() ? 0o700 : 0o600, name)
  }
  store.close()
})

test('a string is short for { path }, and the path comes back absolute', (t) => {
  const directory = path.join(fs.realpathSync(temporaryDirectory(t)), 'store')
  const store = openStore(path.relative(process.cwd(), directory))
  assert.equal(store.path, directory)
  store.close()
})

test('what was written is there after closing and opening again', (t) => {
  const directory = path.join(temporaryDirectory(t), 'store')
  const first = openStore(directory)
  const version = first.useNamespace('n').set('key', { a: [1, 2] }, { metadata: { m: 1 } })
  first.close()
  const second = openStore(directory)
  const entry = second.useNamespace('n').getEntry('key')
  assert.deepEqual({ ...entry.value }, { a: [1, 2] })
  assert.equal(entry.version, version)
  assert.deepEqual({ ...entry.metadata }, { m: 1 })
  assert.ok(second.set('other', 1) > version, 'versions go on growing')
  second.close()
})

test('the same path opened twice is one store, and closing one leaves the other working', (t) => {
  const directory = path.join(temporaryDirectory(t), 'store')
  const first = openStore({ path: directory, agent: 'one' })
  const second = openStore({ path: `${directory}/../store/`, agent: 'two' })
  first.set('key', 'from the first')
  assert.equal(second.get('key'), 'from the first')
  assert.equal(first.agent, 'one')
  assert.equal(second.agent, 'two')
  first.close()
  first.close()
  throwsCode(() => first.get('key'), 'ERR_CLOSED')
  second.set('key', 'from the second')
  assert.equal(second.useNamespace('default').getEntry('key').updatedBy, 'two')
  second.close()
  const third = openStore(directory)
  assert.equal(third.get('key'), 'from the second')
  third.close()
})

test('two paths are two stores', (t) => {
  const [first, second] = [temporaryStore(t), temporaryStore(t)]
  first.set('key', 1)
  second.set('key', 2)
  assert.equal(first.get('key'), 1)
  assert.equal(second.get('key'), 2)
})

test('a link to one\'s own directory is followed', (t) => {
  const directory = temporaryDirectory(t)
  const target = path.join(directory, 'target')
  fs.mkdirSync(target, { mode: 0o700 })
  fs.symlinkSync(target, path.join(directory, 'link'))
  const viaLink = openStore(path.join(directory, 'link'))
  const direct = openStore(target)
  viaLink.set('key', 1)
  assert.equal(direct.get('key'), 1)
  viaLink.close()
  direct.close()
})

test('a read-only store reads what others write, and refuses to write', (t) => {
  const writer = temporaryStore(t)
  writer.useNamespace('n').set('key', 1)
  const reader = openStore({ path: writer.path, readOnly: true })
  const namespace = reader.useNamespace('n')
  assert.equal(namespace.get('key'), 1)
  writer.useNamespace('n').set('key', 2)
  assert.equal(namespace.get('key'), 2)
  for (const write of [
    () => namespace.set('key', 3),
    () => namespace.setMany({ key: 3 }),
    () => namespace.update('key', () => 3),
    () => namespace.increment('key'),
    () => namespace.delete('key'),
    () => namespace.deleteMany(['key']),
    () => namespace.clear(),
    () => reader.set('key', 3),
    () => reader.delete('key')
  ]) {
    throwsCode(write, 'ERR_READ_ONLY')
  }
  reader.close()
  assert.equal(writer.useNamespace('n').get('key'), 2)
})

test('a read-only store of its own process needs no writer', async (t) => {
  const directory = path.join(temporaryDirectory(t), 'store')
  const writer = openStore(directory)
  writer.set('key', 1)
  writer.close()
  const { got, code } = await report(t, { options: { path: directory, readOnly: true } })
  assert.equal(code, undefined)
  assert.equal(got, 1)
})

test('read-only where no store exists is ERR_NOT_FOUND and creates nothing', (t) => {
  const directory = temporaryDirectory(t)
  for (const where of [path.join(directory, 'missing'), directory]) {
    throwsCode(() => openStore({ path: where, readOnly: true }), 'ERR_NOT_FOUND')
  }
  assert.deepEqual(fs.readdirSync(directory), [])
})

test('the path comes from $COMMONHOLD_PATH where none is given', async (t) => {
  const directory = path.join(fs.realpathSync(temporaryDirectory(t)), 'elsewhere')
  const { path: opened } = await report(t, {}, { COMMONHOLD_PATH: directory, HOME: '/nowhere' })
  assert.equal(opened, directory)
  assert.equal(mode(directory), 0o700)
})

test('the default store lies in the user\'s data directory, never in the current one', {
  skip: process.platform !== 'linux' && 'the directory is another on this platform'
}, async (t) => {
  const home = fs.realpathSync(temporaryDirectory(t))
  const fallback = await report(t, {}, { HOME: home })
  assert.equal(fallback.path, path.join(home, '.local', 'share', 'commonhold', 'store'))
  const data = path.join(home, 'data')
  const named = await report(t, { useDefault: true }, { HOME: home, XDG_DATA_HOME: data })
  assert.equal(named.path, path.join(data, 'commonhold', 'store'))
})

test('the agent is named by option, by $COMMONHOLD_AGENT, or by its script', async (t) => {
  const directory = path.join(temporaryDirectory(t), 'store')
  const env = { COMMONHOLD_AGENT: 'from the environment' }
  const agents = [
    await report(t, { options: { path: directory, agent: 'from the option' } }, env),
    await report(t, { options: { path: directory } }, env),
    await report(t, { options: { path: directory } })
  ]
  assert.deepEqual(
    agents.map(({ agent, createdBy }) => [agent, createdBy]),
    [
      ['from the option', 'from the option'],
      ['from the environment', 'from the environment'],
      ['open', 'open']
    ]
  )
})

test('after close every call is ERR_CLOSED', (t) => {
  const store = temporaryStore(t)
  const namespace = store.useNamespace('n')
  namespace.setMany({ a: 1, b: 2 })
  store.close()
  for (const call of [
    () => namespace.get('a'),
    () => namespace.getEntry('a'),
    () => namespace.has('a'),
    () => namespace.getMany(['a']),
    () => namespace.getAll(),
    () => namespace.listKeys(),
    () => namespace.count(),
    () => [...namespace.keys()],
    () => [...namespace.entries()],
    () => namespace.set('a', 1),
    () => namespace.setMany({ a: 1 }),
    () => namespace.update('a', () => 1),
    () => namespace.increment('n'),
    () => namespace.delete('a'),
    () => namespace.deleteMany(['a']),
    () => namespace.clear(),
    () => store.get('a'),
    () => store.listNamespaces(),
    () => store.useNamespace('n').get('a'),
    () => store.flush(),
    () => store.stats()
  ]) {
    throwsCode(call, 'ERR_CLOSED')
  }
  assert.doesNotThrow(() => store.close())
})

test('a store closes at the end of a `using` block', (t) => {
  const store = temporaryStore(t)
  assert.equal(typeof Symbol.dispose, 'symbol')
  store[Symbol.dispose]()
  throwsCode(() => store.get('a'), 'ERR_CLOSED')
})

test('opening and closing many times leaves nothing behind', (t) => {
  const directory = path.join(temporaryDirectory(t), 'store')
  const descriptors = () => fs.readdirSync('/proc/self/fd').length
  openStore(directory).close()
  const before = process.platform === 'linux' && descriptors()
  for (let round = 0; round < 200; round++) {
    const store = openStore(directory)
    assert.equal(store.useNamespace('n').increment('rounds'), round + 1)
    store.close()
  }
  if (before !== false) assert.ok(descriptors() <= before + 1, 'no file stays open')
})
