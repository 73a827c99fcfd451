'use strict'

// Goes through the steps of a workload. Says what it is about to do and what it has done in a file,
// which stands in the journal of the disk like every other and so has its place in the order.

const fs = require('node:fs')
const { openStore } = require(process.env.COMMONHOLD_PACKAGE ?? '../..')
const { args } = require('../../__test__/support/agent')
const { perform, stateAfter, stepOf } = require('../support/workload')

const { path, name, seed, from, steps, starts, options } = args
const file = fs.openSync(args.file, 'a')
const say = (object) => fs.writeSync(file, `${JSON.stringify(object)}\n`)

say({ opening: name })
const store = openStore({ path, agent: name, ...options })
say({ opened: name })
const state = stateAfter(seed, name, from, starts)
state.claimed = undefined
for (let n = from; n < from + steps; n++) {
  say({ begins: n })
  perform(stepOf(seed, name, n), name, state, store)
  say({ done: n, version: store.stats().lastVersion })
}
if (args.close) store.close()
say({ closed: name })
