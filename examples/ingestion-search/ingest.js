'use strict'

// Reads one repository into the store: the text of each file, a summary of each, and the counts.

const { readdirSync, readFileSync } = require('node:fs')
const { join } = require('node:path')
const { useNamespace } = require('../..')

const [repository, directory] = process.argv.slice(2)
const paths = readdirSync(directory).filter(name => name.endsWith('.js') || name.endsWith('.md'))
const texts = paths.map(path => [path, readFileSync(join(directory, path), 'utf8')])

useNamespace(`files:${repository}`).setMany(texts.map(([path, text]) =>
  [path, { content: text, size: Buffer.byteLength(text), type: path.split('.').pop() }]))
useNamespace(`summary:${repository}`).setMany(texts.map(([path, text]) =>
  [path, summarise(text)]))
useNamespace(`meta:${repository}`).set('ingestion', {
  files: texts.length,
  bytes: texts.reduce((sum, [, text]) => sum + Buffer.byteLength(text), 0),
  completedAt: new Date()
})

function summarise (text) {
  return {
    lines: text.split('\n').length,
    about: text.match(/^(?:\/\/|#) (.+)$/m)?.[1] ?? '',
    requires: [...text.matchAll(/\brequire\('([^']+)'\)/g)].map(([, name]) => name),
    functions: [...text.matchAll(/\bfunction (\w+)\(/g)].map(([, name]) => name)
  }
}
