'use strict'

// Does what it is told with one store, line by line: a JSON array of a method and its arguments.

const { openStore } = require('../..')
const { args, hear, outcome, say } = require('../support/agent')

const store = openStore({ path: args.path, ...args.options })
const numbers = store.useNamespace('numbers')

const calls = {
  get: (key) => numbers.get(key) ?? null,
  set: (key, value) => numbers.set(key, value),
  /** Many sets, each a commit of its own. */
  fill: (from, to) => {
    for (let n = from; n < to; n++) numbers.set(`key ${n % 100}`, n)
    return to
  },
  increment: (times) => {
    for (let n = 0; n < times; n++) numbers.increment('counter')
    return times
  },
  stats: () => store.stats(),
  flush: () => store.flush() ?? null,
  close: () => store.close() ?? null
}

say({ ready: true })
for (let line = hear(); line !== ''; line = hear()) {
  const [method, ...rest] = JSON.parse(line)
  say(outcome(() => calls[method](...rest)))
}
