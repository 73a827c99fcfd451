'use strict'

// Goes through the steps of a workload. Says what it is about to do and what it has done in a file,
// which stands in the journal of the disk like every other and so has its place in the order.

const fs = require('node:fs')
const { openStore } = require(process.env.COMMONHOLD_PACKAGE ?? '../..')
const { args } = require('../../__test__/support/agent')
const { generator } = require('../../__test__/support/random')
const { perform, performAsync, stateAfter, stepOf } = require('../support/workload')

const { path, name, seed, from, steps, starts, options, pauseMs, atOnce } = args
const file = fs.openSync(args.file, 'a')
const say = (object) => fs.writeSync(file, `${JSON.stringify(object)}\n`)
const random = generator(seed + from)
const clock = new Int32Array(new SharedArrayBuffer(4))

say({ opening: name })
const store = openStore({ path, agent: name, ...options })
const version = () => store.stats().lastVersion
say({ opened: name })
const state = stateAfter(seed, name, from, starts)
state.claimed = undefined

function step (n) {
  say({ begins: n, version: version() })
  perform(stepOf(seed, name, n), name, state, store)
  say({ done: n, version: version() })
  if (options?.durability === 'relaxed' && random.next() < 0.03) {
    store.flush()
    say({ flushed: n })
  }
}

/** Up to `atOnce` steps are on their way at once. */
async function work () {
  const onTheirWay = []
  for (let n = from; n < from + steps; n++) {
    // Relaxed writers are slowed down, so that their syncs come between their steps.
    if (pauseMs > 0) Atomics.wait(clock, 0, 0, random.next() * pauseMs)
    if (atOnce === undefined) step(n)
    else {
      say({ begins: n, version: version() })
      const done = performAsync(stepOf(seed, name, n), name, store)
      onTheirWay.push(done.then(() => say({ done: n, version: version() })))
      if (onTheirWay.length >= atOnce) await onTheirWay.shift()
    }
  }
  await Promise.all(onTheirWay)
  if (args.close) store.close()
  say({ closed: name })
}

work()
