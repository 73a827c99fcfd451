'use strict'

// ESM and CommonJS are two doors to one implementation; a second copy of the package is not.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const commonhold = require('..')
const { temporaryDirectory, temporaryStore } = require('./support/store')
const { runAgent } = require('./support/agents')

const root = path.join(__dirname, '..')
const names = ['DataStoreError', 'check', 'dataStore', 'listNamespaces', 'openStore', 'useNamespace']

test('import and require give the same names and the same things', async () => {
  const imported = await import('commonhold')
  assert.deepEqual(Object.keys(commonhold).sort(), names)
  const exported = Object.keys(imported).filter((name) => names.includes(name))
  assert.deepEqual(exported.sort(), names)
  for (const name of names) assert.equal(imported[name], commonhold[name], name)
  assert.equal(require('commonhold'), commonhold)
})

test('stores opened through import and require are one', async (t) => {
  const imported = await import('commonhold')
  const store = temporaryStore(t)
  const other = imported.openStore(store.path)
  other.set('key', 1)
  assert.equal(store.get('key'), 1)
  store.close()
  assert.equal(other.get('key'), 1)
  try {
    other.get('')
    assert.fail('an empty key was accepted')
  } catch (error) {
    assert.ok(error instanceof commonhold.DataStoreError)
    assert.ok(error instanceof imported.DataStoreError)
  }
  other.close()
})

test('loading the package touches no disk and opens no store', async (t) => {
  const home = temporaryDirectory(t)
  const env = { PATH: process.env.PATH, HOME: home }
  const [said] = await runAgent(t, 'import', { open: false }, { env })
  assert.deepEqual(said, { names })
  assert.deepEqual(fs.readdirSync(home), [])
})

test('the default store, useNamespace and listNamespaces are one store', async (t) => {
  const env = { PATH: process.env.PATH, HOME: temporaryDirectory(t) }
  const [said] = await runAgent(t, 'import', { open: true }, { env })
  assert.deepEqual(said, { names, namespaces: ['default', 'n'], values: [1, 2] })
})

/** A second copy of the package, as npm would put it under another one's node_modules. */
function copyOfPackage (t) {
  const copy = path.join(temporaryDirectory(t), 'commonhold')
  fs.mkdirSync(copy)
  const parts = fs.readdirSync(root).filter((name) =>
    ['index.js', 'index.mjs', 'lib', 'package.json'].includes(name) || name.endsWith('.node'))
  for (const name of parts) {
    fs.cpSync(path.join(root, name), path.join(copy, name), { recursive: true })
  }
  fs.symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'))
  return copy
}

test('a second copy in one process is refused the same store', { timeout: 60_000 }, async (t) => {
  const directory = temporaryDirectory(t)
  const [said] = await runAgent(t, 'two-copies', { copy: copyOfPackage(t), directory })
  assert.deepEqual(said, {
    refused: 'ERR_DUPLICATE_COPY',
    isDataStoreError: true,
    firstStillWorks: 2,
    otherPath: 1,
    afterClose: 2
  })
})

test('modules that are loaded anew with the same addon work beside the old ones', async (t) => {
  const cached = Object.entries(require.cache)
  const ours = cached.filter(([file]) => file.startsWith(path.join(root, 'lib')) ||
    file === path.join(root, 'index.js'))
  for (const [file] of ours) if (!file.endsWith('.node')) delete require.cache[file]
  const anew = require('..')
  for (const [file, module] of ours) require.cache[file] = module
  assert.notEqual(anew, commonhold)
  const store = temporaryStore(t)
  const other = anew.openStore(store.path)
  t.after(() => other.close())
  store.set('key', 'of the old one')
  const large = Buffer.alloc(1_000_000, 7)
  other.set('large', large)
  for (const one of [store, other]) {
    assert.equal(one.get('key'), 'of the old one')
    assert.deepEqual(one.get('large'), large)
    const waiting = one.useNamespace('n').waitFor('awaited')
    const change = one.watch({ prefix: 'n' }).next()
    store.useNamespace('n').set('awaited', 1)
    assert.equal(await waiting, 1)
    assert.equal((await change).value.key, 'awaited')
    store.useNamespace('n').clear()
  }
})

/** What the package says when it is loaded without an addon of its own. */
function loadWithoutAddon (t, platformPackages) {
  const copy = path.join(temporaryDirectory(t), 'commonhold')
  fs.mkdirSync(copy)
  fs.cpSync(path.join(root, 'index.js'), path.join(copy, 'index.js'))
  fs.cpSync(path.join(root, 'lib'), path.join(copy, 'lib'), {
    recursive: true, filter: (file) => !file.endsWith('.node')
  })
  for (const [name, source] of Object.entries(platformPackages)) {
    fs.mkdirSync(path.join(copy, 'node_modules', name), { recursive: true })
    fs.writeFileSync(path.join(copy, 'node_modules', name, 'index.js'), source)
  }
  try {
    require(copy)
  } catch (error) {
    return error
  }
  return assert.fail('the package was loaded')
}

test('without an addon the error names the file and the package that were looked for', (t) => {
  const error = loadWithoutAddon(t, {})
  const { platform, arch } = process
  assert.match(error.message, new RegExp(`no addon for ${platform}-${arch}`))
  assert.match(error.message, new RegExp(`lib.commonhold\\.${platform}-${arch}[a-z-]*\\.node`))
  assert.match(error.message, new RegExp(`commonhold-${platform}-${arch}`))
  assert.equal(error.cause, undefined)
})

test('an addon that does not load is an error with the reason', (t) => {
  const { platform, arch } = process
  const suffix = { linux: '-gnu', win32: '-msvc' }[platform] ?? ''
  const error = loadWithoutAddon(t, {
    [`commonhold-${platform}-${arch}${suffix}`]: "throw new Error('GLIBC_2.38 not found')"
  })
  assert.match(error.message, /does not load: GLIBC_2\.38 not found/)
  assert.equal(error.cause.message, 'GLIBC_2.38 not found')
})

test('the default store says that it cannot be opened again', () => {
  const script = `const { dataStore, useNamespace } = require(${JSON.stringify(root)})
    dataStore.close()
    try { useNamespace('n') } catch ({ code, message }) { console.log(code, message) }`
  const said = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8' })
  assert.match(said, /^ERR_CLOSED .*cannot be opened again in this process/)
})
