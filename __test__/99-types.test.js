'use strict'

// index.d.ts says what types.test-d.ts expects of it, and a wrong one is noticed.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { temporaryDirectory } = require('./support/store')

const root = path.join(__dirname, '..')

function compiler () {
  try {
    return path.join(path.dirname(require.resolve('typescript/package.json')), 'bin', 'tsc')
  } catch {
    return undefined
  }
}

const tsc = compiler()
const needsTypeScript = { skip: tsc === undefined && 'typescript is not installed' }

function compile (project) {
  const { status, stdout } = spawnSync(process.execPath, [tsc, '-p', project], { encoding: 'utf8' })
  return { status, stdout }
}

/** The declarations and their test, with one text replaced in the declarations. */
function changedCopy (t, from, to) {
  const copy = temporaryDirectory(t)
  const declarations = fs.readFileSync(path.join(root, 'index.d.ts'), 'utf8')
  assert.ok(declarations.includes(from), from)
  fs.writeFileSync(path.join(copy, 'index.d.ts'), declarations.replace(from, to))
  fs.copyFileSync(path.join(root, 'package.json'), path.join(copy, 'package.json'))
  fs.mkdirSync(path.join(copy, '__test__'))
  for (const name of ['tsconfig.json', 'types.test-d.ts']) {
    fs.copyFileSync(path.join(__dirname, name), path.join(copy, '__test__', name))
  }
  return path.join(copy, '__test__')
}

test('the declarations are what their test expects', needsTypeScript, () => {
  assert.deepEqual(compile(__dirname), { status: 0, stdout: '' })
})

test('wrong declarations do not pass', needsTypeScript, (t) => {
  for (const [from, to] of [
    ['listKeys(options?: RangeOptions): string[]', 'listKeys(options?: RangeOptions): any'],
    ['readonly version: number', 'version: number'],
    ['get(key: string): T | undefined', 'get(key: string): T'],
    ["  | 'ERR_CLOSED'", "  | 'ERR_CLOSED' | 'ERR_QUOTA'"]
  ]) {
    const { status } = compile(changedCopy(t, from, to))
    assert.notEqual(status, 0, `${to} was accepted`)
  }
})

test('every public member has a doc comment', () => {
  const lines = fs.readFileSync(path.join(root, 'index.d.ts'), 'utf8').split('\n')
  const isMember = /^ {0,6}(readonly |export |static |\[?[A-Za-z'~.]+\]?[?(<:])/
  const isParameter = /^\s*(name|options\??|key|entries|fn|value): /
  const isExempt = /private constructor|namespace StandardSchemaV1/
  const members = lines.filter((line) =>
    isMember.test(line) && !isParameter.test(line) && !isExempt.test(line))
  assert.ok(members.length > 90, `${members.length} members found`)
  lines.forEach((line, index) => {
    const before = lines[index - 1]?.trim() ?? ''
    if (members.includes(line)) assert.ok(before.endsWith('*/'), `line ${index + 1}: ${line}`)
  })
})
