'use strict'

// An ingesting agent: reads files from the disk into `files:<repository>`.

const { join } = require('node:path')
const { useNamespace } = require('../..')
const { claimGroups, report } = require('./claims')
const { readSource } = require('./source')

const directory = process.argv[2]
const skipped = useNamespace('demo:skipped')

for (const group of claimGroups('ingest')) {
  for (const [repository, paths] of group) {
    const sources = paths.map(path => readSource(join(directory, repository, path), path))
    for (const { skipped: reason } of sources) if (reason) skipped.increment(reason)
    store(repository, sources.flatMap(({ value }) => value ?? []))
  }
  report('ingest', group)
}

function store (repository, values) {
  if (values.length === 0) return
  useNamespace(`files:${repository}`).setMany(values.map(value => [value.path, value]))
  const sum = field => values.reduce((total, value) => total + value[field], 0)
  useNamespace(`meta:${repository}`).update('counts', counts => ({
    files: (counts?.files ?? 0) + values.length,
    bytes: (counts?.bytes ?? 0) + sum('bytes'),
    lines: (counts?.lines ?? 0) + sum('lines')
  }))
}
