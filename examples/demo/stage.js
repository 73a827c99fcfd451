'use strict'

// How the agents of a stage share its work: a queue, whose tasks are groups of files.

const { dataStore, useNamespace } = require('../..')

const stages = ['ingest', 'summarise']
// How long the others wait for an agent that is dead. A live one renews its lease by itself.
const leaseMs = 2000
const longestMs = 30 * 60 * 1000

function queueOf (store, stage) {
  return store.useQueue(`demo:${stage}`, { lease: leaseMs })
}

/**
 * Calls `work` with each task of the stage that this agent gets, until the runner says that all is
 * done. What `work` returns becomes part of the task's result.
 */
async function workOn (stage, work) {
  const end = new AbortController()
  useNamespace('demo').waitFor('finished', { timeout: longestMs }).then(() => end.abort())
  for await (const task of queueOf(dataStore, stage).consume({ signal: end.signal })) {
    const result = await work(task)
    try {
      task.complete({ agent: dataStore.agent, files: task.item.length, ...result })
    } catch (error) {
      if (error.code !== 'ERR_LEASE_LOST') throw error // another worker has it
    }
  }
}

/** The paths of a group, by repository. */
function byRepository (group) {
  const paths = new Map()
  for (const { repository, path } of group) {
    if (paths.has(repository)) paths.get(repository).push(path)
    else paths.set(repository, [path])
  }
  return paths
}

module.exports = { stages, queueOf, workOn, byRepository, longestMs }
