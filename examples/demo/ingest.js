'use strict'

// An ingesting agent: reads files from the disk into `files:<repository>`. A group that is done
// again, because the agent that had it died, leaves what it left before: nothing is counted twice.

const { once } = require('node:events')
const { join } = require('node:path')
const { dataStore, useNamespace } = require('../..')
const { readSource } = require('./source')
const { byRepository, queueOf, workOn } = require('./stage')

const [directory, isDoomed] = process.argv.slice(2)
const summarise = queueOf(dataStore, 'summarise')

workOn('ingest', async task => {
  const skipped = {}
  for (const [repository, paths] of byRepository(task.item)) {
    const sources = paths.map(path => readSource(join(directory, repository, path), path))
    for (const { skipped: reason } of sources) {
      if (reason) skipped[reason] = (skipped[reason] ?? 0) + 1
    }
    store(repository, task.id, sources.flatMap(({ value }) => value ?? []))
  }
  if (isDoomed) await death(task)
  // The same id again is the same task: a group is summarised once however often it is pushed.
  summarise.push(task.item, { id: task.id })
  return { skipped }
})

function store (repository, id, values) {
  if (values.length === 0) return
  useNamespace(`files:${repository}`).setMany(values.map(value => [value.path, value]))
  const sum = field => values.reduce((total, value) => total + value[field], 0)
  useNamespace(`meta:${repository}`).set(`group:${id}`,
    { files: values.length, bytes: sum('bytes'), lines: sum('lines') })
}

/** Waits for the runner to kill this agent, at the worst of moments: the work done, not the task. */
async function death ({ id }) {
  process.send({ kind: 'holds', id })
  await once(process, 'message')
}
