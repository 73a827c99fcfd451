'use strict'

// A summarising agent: reads `files:<repository>` from the store, writes `summary:<repository>`.

const { useNamespace } = require('../..')
const { claimGroups, report } = require('./claims')
const { summarise } = require('./summary')

for (const group of claimGroups('summarise')) {
  for (const [repository, paths] of group) {
    const files = useNamespace(`files:${repository}`).getMany(paths)
    useNamespace(`summary:${repository}`).setMany(
      Object.entries(files).map(([path, file]) => [path, summarise(file)]))
  }
  report('summarise', group)
}
