'use strict'

// Two agents ingest a repository each, at the same time, into `files:`, `summary:` and `meta:`
// namespaces; a third searches them all. The same on thousands of files: ../demo.

const { readdirSync, readFileSync } = require('node:fs')
const { join } = require('node:path')
const { runExample, check } = require('../harness')

const repositories = {
  'example/fan-out': join(__dirname, '..', 'fan-out'),
  'example/pipeline': join(__dirname, '..', 'pipeline')
}
const queries = ["require('node:http')", 'function countPrimes(', "require('../..')"]

runExample('ingestion-search', async ({ store, start }) => {
  const ingesting = Object.entries(repositories).map(([repository, directory]) =>
    start(join(__dirname, 'ingest.js'), { name: 'ingest', args: [repository, directory] }))
  await Promise.all(ingesting.map(agent => agent.succeeded()))

  check('namespaces', store.listNamespaces(), ['files', 'meta', 'summary'].flatMap(kind =>
    Object.keys(repositories).map(repository => `${kind}:${repository}`)))
  for (const [repository, directory] of Object.entries(repositories)) {
    checkFiles(store, repository, directory)
  }

  const search = term => start(join(__dirname, 'search.js'), { args: [term] }).succeeded()
  for (const query of queries) {
    const [, term] = query.match(/([\w:./]+)(?:'\)|\()$/)
    check(`files that have ${query}`, JSON.parse(await search(term)), grep(query))
  }
  return `${queries.length} searches over ${Object.keys(repositories).length} repositories ` +
    'agree with the files'
})

/** Every file of the directory is in the store, letter for letter, and is counted. */
function checkFiles (store, repository, directory) {
  const files = store.useNamespace(`files:${repository}`)
  const stored = [...files.entries()].map(([path, { content }]) => [path, content])
  const expected = sources(directory).map(path =>
    [path, readFileSync(join(directory, path), 'utf8')])
  check(`files of ${repository}`, stored, expected)
  const { bytes } = store.useNamespace(`meta:${repository}`).get('ingestion')
  check(`bytes of ${repository}`, bytes,
    expected.reduce((sum, [, text]) => sum + Buffer.byteLength(text), 0))
}

/** What a plain reading of the files finds. */
function grep (query) {
  return Object.entries(repositories).flatMap(([repository, directory]) => sources(directory)
    .filter(path => readFileSync(join(directory, path), 'utf8').includes(query))
    .map(path => `${repository}/${path}`))
}

function sources (directory) {
  return readdirSync(directory).filter(name => /\.(js|md)$/.test(name)).sort()
}
