'use strict'

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('..')
const { rejectsCode, sameProperties, temporaryDirectory, temporaryStore, throwsCode } =
  require('./support/store')
const { startAgent } = require('./support/agents')

const mode = (file) => fs.statSync(file).mode & 0o777

/** Everything a store holds, with versions, times and metadata. */
function contents (store) {
  return store.listNamespaces().map((name) => {
    const namespace = store.useNamespace(name)
    return [name, namespace.listKeys().map((key) => namespace.getEntry(key))]
  })
}

function filled (t) {
  const store = temporaryStore(t)
  for (let n = 0; n < 200; n++) {
    const options = { metadata: { n }, ...(n % 2 && { ttl: 3_600_000 }) }
    store.useNamespace(`space ${n % 7}`).set(`key ${n}`, { n, text: 'x'.repeat(n * 10) }, options)
  }
  return store
}

for (const compact of [false, true]) {
  test(`a backup with compact: ${compact} holds what the store holds`, async (t) => {
    const store = filled(t)
    const copy = path.join(temporaryDirectory(t), 'a', 'copy')
    assert.equal(await store.backup(copy, { compact }), undefined)
    assert.equal(mode(copy), 0o700)
    for (const file of fs.readdirSync(copy)) assert.equal(mode(path.join(copy, file)), 0o600, file)
    const opened = openStore(copy)
    assert.deepEqual(contents(opened), contents(store))
    const last = store.stats().lastVersion
    assert.ok(opened.set('key', 1) > last, 'no version is handed out twice')
    assert.equal(store.get('key'), undefined, 'the copy is a store of its own')
    opened.close()
  })
}

test('a backup can be opened read-only, before anyone has written to it', async (t) => {
  const store = filled(t)
  const copy = path.join(temporaryDirectory(t), 'copy')
  await store.backup(copy)
  const opened = openStore({ path: copy, readOnly: true })
  assert.deepEqual(contents(opened), contents(store))
  opened.close()
})

test('a compact backup leaves free pages out', async (t) => {
  const store = temporaryStore(t)
  const text = 'x'.repeat(1_000_000)
  for (let n = 0; n < 10; n++) store.useNamespace('n').set(`key ${n}`, text)
  store.useNamespace('n').clear()
  store.set('kept', 1)
  const directory = temporaryDirectory(t)
  await store.backup(path.join(directory, 'whole'))
  await store.backup(path.join(directory, 'compact'), { compact: true })
  const size = (name) => fs.statSync(path.join(directory, name, 'data.mdb')).size
  assert.ok(size('compact') < size('whole') / 2, `${size('compact')} < ${size('whole')} / 2`)
})

test('a backup goes to a new or an empty directory only', async (t) => {
  const store = filled(t)
  const directory = temporaryDirectory(t)
  fs.mkdirSync(path.join(directory, 'empty'), { mode: 0o700 })
  await store.backup(path.join(directory, 'empty'))
  await rejectsCode(store.backup(path.join(directory, 'empty')), 'ERR_INVALID_OPTION')
  await rejectsCode(store.backup(store.path), 'ERR_INVALID_OPTION')
  fs.mkdirSync(path.join(directory, 'mine'), { mode: 0o700 })
  fs.writeFileSync(path.join(directory, 'mine', 'letter.txt'), 'dear')
  await rejectsCode(store.backup(path.join(directory, 'mine')), 'ERR_INVALID_OPTION')
  assert.deepEqual(fs.readdirSync(path.join(directory, 'mine')), ['letter.txt'])
})

test('a backup taken while another process writes is one moment of the store', async (t) => {
  const store = temporaryStore(t)
  const writer = startAgent(t, 'batches', { path: store.path, size: 50 })
  await writer.next()
  for (let round = 0; round < 5; round++) {
    const copy = path.join(temporaryDirectory(t), 'copy')
    await store.backup(copy, { compact: round % 2 === 1 })
    const opened = openStore({ path: copy, readOnly: true })
    const values = Object.values(opened.useNamespace('batch').getAll())
    assert.equal(values.length, 50)
    assert.equal(new Set(values).size, 1, 'all of one batch')
    opened.close()
  }
  writer.kill('SIGKILL')
  await writer.exited
})

test('the event loop runs on while a backup is made', async (t) => {
  const store = temporaryStore(t)
  store.set('key', new Uint8Array(20_000_000))
  let turns = 0
  const counting = setInterval(() => turns++, 1)
  const writing = store.backup(path.join(temporaryDirectory(t), 'copy'))
  store.set('other', 'written meanwhile')
  await writing
  clearInterval(counting)
  assert.equal(store.get('other'), 'written meanwhile')
})

test('a backup of a closed store rejects', async (t) => {
  const store = filled(t)
  store.close()
  await rejectsCode(store.backup(path.join(temporaryDirectory(t), 'copy')), 'ERR_CLOSED')
})

test('stats count keys and namespaces, and know the last version and the sizes', (t) => {
  const store = temporaryStore(t)
  const empty = store.stats()
  assert.equal(empty.namespaces, 0)
  assert.equal(empty.keys, 0)
  store.useNamespace('a').setMany({ x: 1, y: 'x'.repeat(100_000) })
  const version = store.useNamespace('b').set('x', 1)
  const stats = store.stats()
  assert.equal(stats.namespaces, 2)
  assert.equal(stats.keys, 3)
  assert.equal(stats.lastVersion, version)
  assert.ok(stats.usedBytes > 100_000 && stats.usedBytes > empty.usedBytes)
  assert.ok(stats.maxBytes > stats.usedBytes + stats.freeBytes)
  const names = ['freeBytes', 'keys', 'lastVersion', 'maxBytes', 'namespaces', 'processes']
  assert.deepEqual(Object.keys(stats).sort(), [...names, 'usedBytes'])
  store.useNamespace('a').clear()
  assert.equal(store.stats().keys, 1)
  assert.ok(store.stats().freeBytes > 90_000)
})

test('stats know the live processes', async (t) => {
  const store = temporaryStore(t, { agent: 'the tester' })
  const pids = () => store.stats().processes.map(({ pid }) => pid).sort()
  const [own] = store.stats().processes
  assert.equal(own.pid, process.pid)
  assert.equal(own.agent, 'the tester')
  assert.equal(typeof own.oldestSnapshotMs, 'number')
  const other = startAgent(t, 'batches', { path: store.path, size: 1, agent: 'the writer' })
  await other.next()
  assert.deepEqual(pids(), [process.pid, other.pid].sort())
  const { agent } = store.stats().processes.find(({ pid }) => pid === other.pid)
  assert.equal(agent, 'the writer')
  other.kill('SIGKILL')
  await other.exited
  assert.deepEqual(pids(), [process.pid])
})

test('flush returns when all is on the disk, as every write does', (t) => {
  const store = temporaryStore(t)
  store.set('key', 1)
  assert.equal(store.flush(), undefined)
  sameProperties(store.useNamespace('default').getAll(), { key: 1 })
  store.close()
  throwsCode(() => store.flush(), 'ERR_CLOSED')
})
