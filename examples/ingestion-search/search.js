'use strict'

// Searches the summaries of every repository in the store, whoever ingested it and when.

const { listNamespaces, useNamespace } = require('../..')

const query = process.argv[2].toLowerCase()
const matches = []
for (const namespace of listNamespaces({ prefix: 'summary:' })) {
  const repository = namespace.slice('summary:'.length)
  for (const [path, summary] of useNamespace(namespace).entries()) {
    if (JSON.stringify(summary).toLowerCase().includes(query)) matches.push(`${repository}/${path}`)
  }
}
console.log(JSON.stringify(matches))
