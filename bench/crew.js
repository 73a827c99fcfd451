'use strict'

// Several companions that do the same at the same time.

const { startCompanion } = require('./companion')

/** Starts so many processes that play `role` of the file; each is told which `member` it is. */
async function startCrew (file, role, count, options) {
  const start = member => startCompanion(file, role, { ...options, member })
  const members = await Promise.all(Array.from({ length: count }, (_, member) => start(member)))
  return {
    /** One promise for the answer of each. */
    ask: (handler, argument) => members.map(member => member.ask(handler, argument)),
    end: () => Promise.all(members.map(member => member.end()))
  }
}

/** Asks all, and tells what they did together: results of `keepInFlight` or `keepPace`. */
async function workTogether (crew, handler, argument) {
  const results = await Promise.all(crew.ask(handler, argument))
  const counts = results.map(({ count }) => count)
  const startedAt = Math.min(...results.map(one => one.startedAt))
  const endedAt = Math.max(...results.map(one => one.endedAt))
  const count = counts.reduce((sum, one) => sum + one, 0)
  return { counts, count, nanosecondsEach: (endedAt - startedAt) / count }
}

module.exports = { startCrew, workTogether }
