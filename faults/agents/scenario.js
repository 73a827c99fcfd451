'use strict'

// Goes through the steps of a workload, one of whose calls meets a fault, and says through a pipe
// what it was told: what it may rely on, and how the store bears the error.

const path = require('node:path')
const { openStore } = require(process.env.COMMONHOLD_PACKAGE ?? '../..')
const { args, outcome, say } = require('../../__test__/support/agent')
const { describe, observe, perform, stateAfter, stepOf } = require('../support/workload')

const { seed, name, steps, options, backup } = args
const starts = [...args.starts]
let store

/** Opens the store; after a fault that came once, the second attempt must do. */
function open () {
  const { value, code, message } = outcome(() => openStore({ path: args.path, ...options }))
  store = value
  if (value === undefined) say({ notOpened: code, message })
  return value !== undefined
}

const write = () => outcome(() => store.useNamespace('probe').set('probe', { by: name }))
const told = ({ code }) => code ?? 'ok'

/** What the store does after the error of the step `n`. Returns the step to go on with. */
function bear (n, { code, message }) {
  const read = outcome(() => observe(store, name))
  say({ failed: n, code, message, reads: told(read), writes: told(write()) })
  store.close()
  if (!open() && !open()) return
  const seen = describe(observe(store, name))
  const isNow = (end) => describe(stateAfter(seed, name, end, starts)) === seen
  let next = [n, n + 1].find(isNow)
  const { recovery } = store.stats()
  if (next === undefined && recovery !== undefined) {
    // After a failed sync nobody knows what the disk has: relaxed writes go back to a checkpoint.
    for (let end = n - 1; end >= args.from && next === undefined; end--) if (isNow(end)) next = end
    say({ wentBack: recovery })
  }
  say({ reopened: next ?? 'neither before nor after the step', writes: told(write()) })
  return next
}

async function work () {
  if (!open() && !open()) return
  say({ opened: true })
  let state = stateAfter(seed, name, args.from, starts)
  state.claimed = undefined
  for (let n = args.from; n < args.from + steps;) {
    say({ begins: n })
    const done = outcome(() => perform(stepOf(seed, name, n), name, state, store))
    if (done.code === undefined) {
      say({ done: n })
      n += 1
      continue
    }
    n = bear(n, done)
    if (n === undefined || args.forever) return
    starts.push(n)
    say({ starts: n })
    state = stateAfter(seed, name, n, starts)
    state.claimed = undefined
  }
  if (backup !== undefined) await backUp()
  store.close()
  say({ ended: true })
}

async function backUp () {
  for (const compact of [false, true]) {
    const target = path.join(backup, compact ? 'compact' : 'whole')
    const error = await store.backup(target, { compact }).then(() => undefined, (error) => error)
    say({ backup: target, code: error?.code, message: error?.message })
  }
}

work()
