'use strict'

// ARCHITECTURE.md names every file and only tests that exist; the layers are kept apart.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..')
const read = (name) => fs.readFileSync(path.join(root, name), 'utf8')
const architecture = read('ARCHITECTURE.md')

function filesBelow (directory, extension) {
  const names = fs.readdirSync(path.join(root, directory), { recursive: true })
  return names.filter((name) => name.endsWith(extension)).map((name) => `${directory}/${name}`)
}

const sources = filesBelow('src', '.rs').map((name) => name.replaceAll('\\', '/'))
const product = sources.filter((name) => !name.endsWith('tests.rs'))

/** A source file without its comments and unit tests. */
const code = (name) => read(name).split(/^#\[cfg\((?:all\()?test\b/m)[0].replace(/^\s*\/\/.*$/gm, '')

test('the code map names every source file', () => {
  const section = (from, to) => architecture.split(from)[1].split(to)[0]
  const store = section('### The store: src/', '### The binding')
  const binding = section('### The binding: src/node/', '### The face')
  const face = section('### The face', '### The rest')
  for (const name of product) {
    const [map, short] = name.startsWith('src/node/')
      ? [binding, name.slice('src/node/'.length)]
      : [store, name.slice('src/'.length)]
    assert.ok(map.includes(`\`${short}\``), `${name} is not in the code map`)
  }
  for (const name of filesBelow('lib', '.js')) {
    assert.ok(face.includes(`\`${name}\``), `${name} is not in the code map`)
  }
})

test('every test that guards an invariant exists', () => {
  const tests = [...filesBelow('__test__', '.test.js'), ...filesBelow('faults', '.test.js'),
    ...filesBelow('tests', '.rs'), ...sources]
  // Rust's names are written with spaces and without apostrophes; "..." stands for anything.
  const plain = (text) => text.replace(/[\\']/g, '').replaceAll('_', ' ')
  const everything = plain(tests.map(read).join('\n'))
  const section = architecture.split('## Invariants')[1].split('\n## ')[0]
  const titles = [...section.matchAll(/"([^"]+)"/g)].map(([, title]) => title.replace(/\s+/g, ' '))
  assert.ok(titles.length > 8)
  for (const title of titles) {
    for (const part of plain(title).split('...')) assert.ok(everything.includes(part.trim()), title)
  }
  for (const [, file] of section.matchAll(/`(\d\d-[a-z-]+)`/g)) {
    assert.ok(fs.existsSync(path.join(__dirname, `${file}.test.js`)), file)
  }
})

test('nothing in src/ outside src/node/ names napi', () => {
  for (const name of sources.filter((name) => !name.startsWith('src/node/'))) {
    assert.doesNotMatch(code(name), /\bnapi/, name)
  }
})

test('only the write path, and the creation of a store, begins a write transaction', () => {
  const writers = product.filter((name) => /\.write_txn\(/.test(code(name)))
  assert.deepEqual(writers.sort(), ['src/commit.rs', 'src/environment.rs'])
})

test('only what applies a batch changes anything in a write transaction', () => {
  const changing = product.filter((name) => /\bRwTxn\b/.test(code(name)))
  assert.deepEqual(changing.sort(), [
    'src/apply.rs', 'src/changes.rs', 'src/commit.rs', 'src/commit/group.rs'
  ])
})

test('every link of the documentation leads to a file of the repository', () => {
  const pages = ['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md',
    ...fs.readdirSync(path.join(root, 'docs')).map((name) => `docs/${name}`)]
  for (const page of pages) {
    for (const [, target] of read(page).matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)) {
      const file = path.join(root, path.dirname(page), target)
      assert.ok(fs.existsSync(file), `${page} links to ${target}`)
      if (fs.existsSync(path.join(root, '.git'))) {
        const listed = execFileSync('git', ['ls-files', '--', file], { cwd: root }).length
        assert.ok(listed > 0, `${page} links to ${target}, which is not in the repository`)
      }
    }
  }
})
