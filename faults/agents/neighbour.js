'use strict'

// Has a store open beside a process that is stopped, and says what it gets from it; or, for
// `opens`, opens it.

const { openStore } = require('../..')
const { args, hear, outcome, say } = require('../../__test__/support/agent')

const told = (fn) => {
  const started = process.hrtime.bigint()
  const { code, message } = outcome(fn)
  return { code: code ?? 'ok', message, ms: Number(process.hrtime.bigint() - started) / 1e6 }
}

let store
const open = () => { store ??= openStore({ path: args.path, ...args.options }) }

if (args.isOpen) open()
say({ ready: true })
for (let line = hear(); line !== ''; line = hear()) {
  const opens = told(open)
  const read = opens.code === 'ok' ? told(() => store.get('neighbour')) : undefined
  const writes = opens.code === 'ok' ? told(() => store.set('neighbour', line)) : undefined
  say({ opens, read, writes })
}
