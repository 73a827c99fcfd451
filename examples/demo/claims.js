'use strict'

// How the agents of the demo share the work: `increment` hands every number to one agent only, so
// it serves as a ticket dispenser for the groups of groups.js.

const { dataStore, useNamespace } = require('../..')

/** The groups that this agent gets for this stage, each as a Map of repository to paths. */
function * claimGroups (stage) {
  const groups = useNamespace('demo:groups')
  const tickets = useNamespace('demo:tickets')
  for (;;) {
    const group = groups.get(`group:${tickets.increment(stage)}`)
    if (group === undefined) return
    const byRepository = new Map()
    for (const { repository, path } of group) {
      byRepository.set(repository, [...byRepository.get(repository) ?? [], path])
    }
    yield byRepository
  }
}

/** Counts the files of that group among what this agent has done; the runner shows it. */
function report (stage, group) {
  const files = [...group.values()].reduce((sum, paths) => sum + paths.length, 0)
  useNamespace(`demo:${stage}`).increment(dataStore.agent, files)
}

module.exports = { claimGroups, report }
