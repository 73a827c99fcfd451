'use strict'

// Opens stores as they may be after a power cut, or as killed writers left them, and says what they
// hold. One process for many stores: they are told apart by their paths.

const { openStore } = require(process.env.COMMONHOLD_PACKAGE ?? '../..')
const native = require(`${process.env.COMMONHOLD_PACKAGE ?? '../..'}/lib/native`)
const { hear, outcome, say } = require('../../__test__/support/agent')
const { Timeline, describe, observe } = require('../support/workload')

const timelines = new Map()

/** The states of a writer, kept as long as the same run of writers is looked at. */
function timelineOf (seed, name, starts) {
  if (timelines.seed !== seed) timelines.clear()
  timelines.seed = seed
  const id = `${name} ${starts}`
  if (!timelines.has(id)) timelines.set(id, new Timeline(seed, name, starts))
  return timelines.get(id)
}

async function check (request) {
  const openedAt = Date.now()
  const opened = outcome(() => openStore({ path: request.path, ...request.options }))
  if (opened.code !== undefined) {
    return { problems: [`cannot be opened: ${opened.code} ${opened.message}`] }
  }
  const store = opened.value
  const { recovery } = store.stats()
  const wentBackTo = recovery?.at >= openedAt ? recovery.version : undefined
  const { value, code, message } = outcome(() => inspect(store, request))
  const problems = value?.problems ?? [`cannot be read: ${code} ${message}`]
  if (wentBackTo < request.version) problems.push(...await watchFrom(store, request.version))
  const closed = outcome(() => store.close())
  if (closed.code !== undefined) problems.push(`cannot be closed: ${closed.message}`)
  if (request.checksAll) problems.push(...walk(request.path))
  return { ...value, problems, wentBackTo }
}

function inspect (store, request) {
  const problems = []
  const found = {}
  let total = 0
  // A process that is killed after LMDB wrote its meta page and before it told the others leaves a
  // commit that nobody sees until the next one.
  if (request.isShared) store.useNamespace('probe').increment('looks')
  for (const { name, least, most, starts } of request.writers) {
    const timeline = timelineOf(request.seed, name, starts)
    const text = describe(observe(store, name))
    const ends = timeline.find(text, Math.max(most, least))
    const possible = ends.filter((end) => end >= least)
    if (possible.length === 0) problems.push(explain(ends, name, least, most) + timelineNote(timeline, text, least))
    else {
      // Steps that changed nothing leave it open which was the last one.
      let first = possible[0]
      while (ends.includes(first - 1)) first--
      found[name] = [first, possible.at(-1)]
      total += timeline.total(possible[0])
    }
  }
  if (request.isShared) return { problems, found }
  const counted = store.useNamespace('shared').get('total', 0)
  if (problems.length === 0 && counted !== total) problems.push(`counted ${counted}, not ${total}`)
  if (request.options?.readOnly) return { problems, found }
  const probe = store.useNamespace('probe')
  const version = probe.set('written after the cut', { by: 'the checker' })
  if (probe.get('written after the cut')?.by !== 'the checker') problems.push('cannot be written to')
  probe.clear()
  return { problems, found, version }
}

const timelineNote = (timeline, text, least) => ` (${timeline.differences(text, least)})`

/** Which state it is in instead, if any. */
function explain (ends, name, least, most) {
  return ends.length > 0
    ? `lost: ${name} is after step ${ends.at(-1)}, ${least} were acknowledged`
    : `torn: ${name} is in no state between its steps ${least} and ${most}`
}

/** Whoever remembers a version that was rolled back must be told to begin anew. */
async function watchFrom (store, since) {
  const watcher = store.watch({ since })
  const { value } = await watcher.next()
  await watcher.return()
  return value.type === 'reset' ? [] : [`a watcher from ${since} is told ${value.type}, not reset`]
}

/** All pages and rows of the store, as `check` walks over them. */
function walk (path) {
  const { value, message } = outcome(() => JSON.parse(native.check(path, undefined)))
  if (value === undefined) return [`cannot be checked: ${message}`]
  const { status, problems } = value
  return status === 'sound' ? [] : [`check finds it ${status}: ${JSON.stringify(problems[0])}`]
}

async function serve () {
  for (let line = hear(); line !== ''; line = hear()) say(await check(JSON.parse(line)))
}

serve()
