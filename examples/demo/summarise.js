'use strict'

// A summarising agent: reads `files:<repository>` from the store, writes `summary:<repository>`.

const { useNamespace } = require('../..')
const { byRepository, workOn } = require('./stage')
const { summarise } = require('./summary')

workOn('summarise', task => {
  let summaries = 0
  for (const [repository, paths] of byRepository(task.item)) {
    const files = Object.entries(useNamespace(`files:${repository}`).getMany(paths))
    useNamespace(`summary:${repository}`).setMany(
      files.map(([path, file]) => [path, summarise(file)]))
    summaries += files.length
  }
  return { summaries }
})
