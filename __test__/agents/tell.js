'use strict'

// Says every change it is told, until that of the key `end`. Then there is nothing left to do, and
// the process ends without having closed anything.

const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const store = openStore({ path: args.path, readOnly: args.readOnly })

async function run () {
  for await (const change of store.useNamespace('n').watch()) {
    say(change)
    if (change.key === 'end') return
  }
}

run()
