'use strict'

// One file as the store keeps it: its text (or its bytes, where it is no text) and the facts.

const { createHash } = require('node:crypto')
const { closeSync, openSync, readFileSync, readSync, statSync } = require('node:fs')
const { extname } = require('node:path')

const maxBytes = 32 * 1024 * 1024
const maxBinaryBytes = 256 * 1024
const sampleBytes = 8192

const languages = new Map(Object.entries({
  JavaScript: 'js cjs mjs jsx',
  TypeScript: 'ts cts mts tsx',
  Rust: 'rs',
  Python: 'py pyi',
  C: 'c h',
  Go: 'go',
  Markdown: 'md',
  JSON: 'json map',
  YAML: 'yml yaml',
  TOML: 'toml',
  HTML: 'html htm',
  CSS: 'css'
}).flatMap(([language, extensions]) => extensions.split(' ').map(name => [name, language])))

/** The value to store for that file, or the reason why it is left out. */
function readSource (file, path) {
  try {
    const { size } = statSync(file)
    if (size > maxBytes) return { skipped: 'over 32 MiB' }
    if (size > maxBinaryBytes && looksBinary(file)) return { skipped: 'binary over 256 KiB' }
    return { value: describe(path, readFileSync(file)) }
  } catch (error) {
    if (!error.syscall) throw error
    return { skipped: 'unreadable' }
  }
}

function looksBinary (file) {
  const sample = Buffer.alloc(sampleBytes)
  const descriptor = openSync(file, 'r')
  try {
    return sample.subarray(0, readSync(descriptor, sample)).includes(0)
  } finally {
    closeSync(descriptor)
  }
}

function describe (path, data) {
  const text = decode(data)
  return {
    path,
    ...(text === undefined ? { data } : { text }),
    bytes: data.length,
    lines: text === undefined ? 0 : countLines(text),
    language: text === undefined ? 'binary' : languages.get(extname(path).slice(1)) ?? 'other',
    sha256: createHash('sha256').update(data).digest('hex')
  }
}

/** The text of these bytes, or nothing where they are not UTF-8. */
function decode (data) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data)
  } catch {
    return undefined
  }
}

function countLines (text) {
  let lines = text.endsWith('\n') || text === '' ? 0 : 1
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) lines += 1
  return lines
}

module.exports = { readSource }
