'use strict'

// docs/errors.md, the enum in Rust and the declarations list the same codes.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')

const read = (...parts) => fs.readFileSync(path.join(__dirname, '..', ...parts), 'utf8')

/** Code -> whether it is retryable, as src/error.rs says in `Code::ALL`. */
function codesOfRust () {
  const table = /ALL: [^=]*= &\[(.*?)\];/s.exec(read('src', 'error.rs'))[1]
  const rows = table.matchAll(/\(\s*Code::\w+,\s*"(\w+)",\s*(true|false),?\s*\)/g)
  return Object.fromEntries([...rows].map(([, code, retryable]) => [code, retryable === 'true']))
}

/** The codes of the enum's own list of variants, so that none can be left out of the table. */
function variantsOfRust () {
  const variants = /pub enum Code \{(.*?)\n\}/s.exec(read('src', 'error.rs'))[1]
  return [...variants.matchAll(/^ {4}(\w+),$/gm)].map(([, name]) =>
    `ERR${name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`)
}

function codesOfTypes () {
  const union = /export type ErrorCode =\n((?: {2}\| '\w+'\n)+)/.exec(read('index.d.ts'))[1]
  return [...union.matchAll(/'(\w+)'/g)].map(([, code]) => code)
}

/** Sections of docs/errors.md: code -> its text. */
function sections () {
  const [, ...parts] = read('docs', 'errors.md').split(/^## /m)
  return Object.fromEntries(parts.map((part) => {
    const end = part.indexOf('\n')
    return [part.slice(0, end), part.slice(end)]
  }))
}

test('the documentation lists the codes of the enum, in its order', () => {
  assert.ok(Object.keys(codesOfRust()).length > 20)
  assert.deepEqual(Object.keys(sections()), Object.keys(codesOfRust()))
  assert.deepEqual(Object.keys(codesOfRust()), variantsOfRust())
})

test('the declarations list the codes of the enum', () => {
  assert.deepEqual(codesOfTypes().sort(), Object.keys(codesOfRust()).sort())
})

test('the kinds of problems that a check finds are the same in Rust, types and documentation', () => {
  const table = /ALL: [^=]*= &\[(.*?)\];/s.exec(read('src', 'check', 'report.rs'))[1]
  const kinds = [...table.matchAll(/"([\w-]+)"/g)].map(([, kind]) => kind)
  assert.ok(kinds.length > 20)
  const union = /export type CheckProblemKind =\n((?: {2}\| '[\w-]+'\n)+)/.exec(read('index.d.ts'))[1]
  assert.deepEqual([...union.matchAll(/'([\w-]+)'/g)].map(([, kind]) => kind), kinds)
  const described = read('docs', 'check.md').split('## What can be wrong')[1].split('\n## ')[0]
  assert.deepEqual([...described.matchAll(/^\| `([\w-]+)` \| .{20}/gm)].map(([, kind]) => kind), kinds)
})

test('every code has a cause, a remedy, and says whether to try again', () => {
  const retryable = codesOfRust()
  for (const [code, text] of Object.entries(sections())) {
    const answer = /^- Retryable: (yes|no)$/m.exec(text)?.[1]
    assert.equal(answer, retryable[code] ? 'yes' : 'no', code)
    assert.match(text, /^- Cause: .{20}/m, code)
    assert.match(text, /^- Remedy: .{20}/m, code)
  }
})
