'use strict'

// Every code block of README.md and docs/*.md runs as it stands; what is not to be run is marked
// as text. A block that needs something that is not installed is skipped with the reason.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('..')
const { blocksOf, documents } = require('./support/blocks')
const { temporaryDirectory } = require('./support/store')

const root = path.join(__dirname, '..')
const TIMEOUT_MS = 120_000
// Schemas come from a package that the examples install.
const exampleModules = path.join(root, 'examples', 'node_modules')
const python = process.env.COMMONHOLD_TEST_PYTHON ?? 'python3'

function run (program, args, directory, environment = {}) {
  const env = {
    ...process.env,
    COMMONHOLD_PATH: path.join(directory, 'store'),
    NODE_PATH: exampleModules,
    PYTHONIOENCODING: 'utf-8',
    ...environment
  }
  delete env.COMMONHOLD_AGENT
  return spawnSync(program, args, { cwd: root, env, encoding: 'utf8', timeout: TIMEOUT_MS })
}

function succeeds ({ status, signal, stderr, error }) {
  assert.equal(status, 0, `${error ?? signal ?? status}\n${stderr}`)
}

// ---------------------------------------------------------------- js

/** The first package of a block that is neither this one, nor of Node, nor installed. */
function missingPackage (code) {
  const names = [...code.matchAll(/(?:require\(|from )'([^'.][^']*)'/g)].map(([, name]) => name)
  return names.find((name) => {
    if (name.startsWith('node:') || name === 'commonhold') return false
    try {
      require.resolve(name, { paths: [exampleModules, root] })
      return false
    } catch {
      return true
    }
  })
}

function runJavaScript (t, { code }) {
  const missing = missingPackage(code)
  if (missing) return t.skip(`${missing} is not installed (npm ci --prefix examples)`)
  // Evaluated in the root, so that the package finds itself under its own name.
  const type = /^import /m.test(code) ? 'module' : 'commonjs'
  const args = [`--input-type=${type}`, '--eval', code]
  const directory = temporaryDirectory(t)
  // What a block puts into the home directory goes with the test.
  succeeds(run(process.execPath, args, directory, { HOME: directory, USERPROFILE: directory }))
}

// ---------------------------------------------------------------- ts

function checkTypeScript (t, { code }) {
  const directory = temporaryDirectory(t)
  fs.writeFileSync(path.join(directory, 'block.ts'), code)
  fs.writeFileSync(path.join(directory, 'tsconfig.json'), JSON.stringify({
    compilerOptions: {
      strict: true,
      noEmit: true,
      target: 'es2022',
      lib: ['es2022', 'esnext.disposable', 'dom'],
      module: 'preserve',
      moduleResolution: 'bundler',
      types: [],
      paths: { commonhold: [path.join(root, 'index.d.ts')] }
    },
    files: ['block.ts']
  }))
  const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  if (!fs.existsSync(tsc)) return t.skip('typescript is not installed')
  const { status, stdout } = run(process.execPath, [tsc, '-p', directory], directory)
  assert.deepEqual({ status, stdout }, { status: 0, stdout: '' })
}

// ---------------------------------------------------------------- sh

const { scripts } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'))
const COMMAND = /^npm (?:ci|test|install commonhold|run (?<script>[\w:-]+)(?: -- .+)?)$/

/** Running the gate inside the gate would not end: the commands are only checked to exist. */
function checkCommands (t, { code }) {
  for (const command of code.trim().split(/\s*\n\s*| && /)) {
    const known = COMMAND.exec(command.replace(/\s+#.*$/, ''))
    assert.ok(known, `${command}: no npm command; mark the block as text`)
    const script = command.startsWith('npm test') ? 'test' : known.groups.script
    if (script) assert.ok(scripts[script], `package.json has no script ${script}`)
  }
}

// ---------------------------------------------------------------- python

const probe = spawnSync(python, ['-c', 'import lmdb, msgpack'])
const pythonReady = probe.status === 0

/** Values of every kind, a key as long as can be, and more namespaces than have handles. */
function fill (directory) {
  const store = openStore({ path: directory, agent: 'filler' })
  const kinds = store.useNamespace('kinds | a/b')
  kinds.set('k'.repeat(1978), { long: 'key' }, { metadata: { language: 'en', depth: [1, null] } })
  kinds.set('numbers', [0, -0, 1.5, 2 ** 40, -70_000, 10n, -(2n ** 80n)], { ttl: 1e9 })
  kinds.set('bytes', [new Uint8Array([1, 2]), Buffer.from('hi'), new Float32Array([1.5, -2])])
  kinds.set('others', new Map([['set', new Set(['a', null])], ['date', new Date(1234567890123)]]))
  kinds.set('strings', ['\u{1f600}', 'text'])
  store.useNamespace('emptied').set('key', 1)
  store.useNamespace('emptied').clear()
  for (let index = 0; index < 200; index++) store.useNamespace(`n${index}`).set('key', index)
  store.close()
}

const EXPECTED = [
  'kinds | a/b: 5 entries, last changed at 6',
  `  ${'k'.repeat(1978)} = {'long': 'key'}`,
  '  numbers = [0, -0.0, 1.5, 1099511627776.0, -70000, 10, -1208925819614629174706176]',
  "  bytes = [b'\\x01\\x02', b'hi', [1.5, -2.0]]",
  "  others = [('set', ['a', None]), " +
    "('date', Timestamp(seconds=1234567890, nanoseconds=123000000))]",
  "  strings = ['\u{1f600}', 'text']",
  'n199: 1 entries, last changed at 208',
  '  key = 199',
  '201 namespaces, 1 expiring entries, all checksums match'
]

function runPython (t, { code }) {
  if (!pythonReady) return t.skip(`${python} with the packages lmdb and msgpack is not installed`)
  const directory = temporaryDirectory(t)
  const store = path.join(directory, 'store')
  const copy = path.join(directory, 'copy')
  fill(store)
  fs.mkdirSync(copy)
  for (const file of ['data.mdb', 'commonhold.json']) {
    fs.copyFileSync(path.join(store, file), path.join(copy, file))
  }
  const result = run(python, ['-c', code, copy], directory)
  succeeds(result)
  const lines = result.stdout.split('\n')
  for (const line of EXPECTED) assert.ok(lines.includes(line), `not printed: ${line}`)
  assert.ok(lines.some((line) => line.includes("'created_by': 'filler'") &&
    line.endsWith("'metadata': {'language': 'en', 'depth': [1, None]}}")), 'the metadata')
  assert.ok(!result.stdout.includes('emptied'), 'an emptied namespace is none')
  noticesDamage(code, copy, directory)
}

function noticesDamage (code, copy, directory) {
  const data = path.join(copy, 'data.mdb')
  const bytes = fs.readFileSync(data)
  const value = Buffer.from('long\xa3key', 'latin1')
  let found = 0
  // Freed pages still hold what was copied from them.
  for (let at = bytes.indexOf(value); at >= 0; at = bytes.indexOf(value, at + 1), found++) {
    bytes[at + value.length - 1] ^= 1
  }
  assert.ok(found > 0, 'the value is in the file')
  fs.writeFileSync(data, bytes)
  const { status, stderr } = run(python, ['-c', code, copy], directory)
  assert.notEqual(status, 0)
  assert.match(stderr, /damaged/)
}

// ---------------------------------------------------------------- all

const runners = {
  js: runJavaScript, ts: checkTypeScript, sh: checkCommands, python: runPython
}

for (const file of documents(root)) {
  for (const block of blocksOf(root, file)) {
    if (block.language === 'text') continue
    test(`${file}:${block.line} (${block.language}) runs as it stands`, (t) => {
      const runner = runners[block.language]
      assert.ok(runner, `blocks are ${Object.keys(runners).join(', ')} or text`)
      return runner(t, block)
    })
  }
}

test('a block that fails is noticed', (t) => {
  const directory = temporaryDirectory(t)
  const args = ['--input-type=commonjs', '--eval', "require('commonhold').dataStore.nothing()"]
  const { status, stderr } = run(process.execPath, args, directory)
  assert.equal(status, 1)
  assert.match(stderr, /nothing is not a function/)
})
