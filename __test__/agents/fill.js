'use strict'

// Writes until the store refuses, checks all that was acknowledged, waits for space, goes on.

const { openStore } = require('../..')
const { args, hear, outcome, say } = require('../support/agent')

const namespace = openStore(args.path).useNamespace('n')
const value = (n) => `${n} `.repeat(Math.ceil(args.size / 8)).slice(0, args.size)

/** Writes the batch that begins with entry n. */
function write (n) {
  const numbers = Array.from({ length: args.batch }, (_, index) => n + index)
  if (args.batch === 1) namespace.set(`key ${n}`, value(n))
  else namespace.setMany(numbers.map((each) => [`key ${each}`, value(each)]))
}

function check () {
  let wrong = 0
  for (const [key, text] of namespace) if (text !== value(Number(key.slice(4)))) wrong += 1
  say({ found: namespace.count(), wrong })
}

function run () {
  let acknowledged = 0
  let refused
  do {
    refused = outcome(() => write(acknowledged))
    if (refused.code === undefined) acknowledged += args.batch
    if (acknowledged === args.pauseAfter && refused.code === undefined) {
      say({ paused: acknowledged })
      hear()
    }
  } while (refused.code === undefined)
  say({ ...refused, acknowledged })
  check()
  hear()
  const { code, message } = outcome(() => write(acknowledged))
  say(code === undefined ? { wrote: true } : { code, message })
}

if (args.only !== 'check') run()
check()
