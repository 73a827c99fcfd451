'use strict'

// Opens stores as they may be after a power cut and says what they hold. One process for many
// images: stores are told apart by their paths.

const { openStore } = require(process.env.COMMONHOLD_PACKAGE ?? '../..')
const { hear, outcome, say } = require('../../__test__/support/agent')
const { describe, observe, stateAfter } = require('../support/workload')

for (let line = hear(); line !== ''; line = hear()) say(check(JSON.parse(line)))

function check (request) {
  const opened = outcome(() => openStore({ path: request.path, ...request.options }))
  if (opened.code !== undefined) return { problems: [`cannot be opened: ${opened.code} ${opened.message}`] }
  const store = opened.value
  const { value, code, message } = outcome(() => inspect(store, request))
  const closed = outcome(() => store.close())
  const problems = value?.problems ?? [`cannot be read: ${code} ${message}`]
  if (closed.code !== undefined) problems.push(`cannot be closed: ${closed.message}`)
  return { ...value, problems }
}

function inspect (store, request) {
  const { seed, writers } = request
  const problems = []
  const found = {}
  let total = 0
  for (const { name, least, most, starts } of writers) {
    const seen = describe(observe(store, name))
    const candidates = []
    for (let end = least; end <= most; end++) {
      const state = stateAfter(seed, name, end, starts)
      if (describe(state) === seen) candidates.push({ end, total: state.total })
    }
    if (candidates.length === 0) problems.push(explain(seen, seed, name, least, most, starts))
    found[name] = candidates.at(-1)?.end
    total += candidates.at(-1)?.total ?? 0
  }
  if (request.isShared) return { problems, found }
  const counted = store.useNamespace('shared').get('total', 0)
  if (problems.length === 0 && counted !== total) problems.push(`counted ${counted}, not ${total}`)
  if (request.readOnly) return { problems, found }
  const probe = store.useNamespace('probe')
  const version = probe.set('written after the cut', { by: 'the checker' })
  if (probe.get('written after the cut')?.by !== 'the checker') problems.push('cannot be written to')
  probe.clear()
  return { problems, found, version }
}

/** Which state it is in instead, if any. */
function explain (seen, seed, name, least, most, starts) {
  for (let end = 0; end < least; end++) {
    if (describe(stateAfter(seed, name, end, starts)) === seen) {
      return `lost: ${name} is after step ${end}, ${least} were acknowledged`
    }
  }
  return `torn: ${name} is in no state between its steps ${least} and ${most}`
}
