'use strict'

// Writes until the store refuses, checks all that was acknowledged, removes what it may, waits for
// space, goes on.

const { openStore } = require('../..')
const { args, hear, outcome, say } = require('../support/agent')

const store = openStore(args.path)
const namespace = store.useNamespace(args.namespace ?? 'n')
const value = (n) => `${n} `.repeat(Math.ceil(args.size / 8)).slice(0, args.size)
const present = new Set(Array.from(namespace.keys(), (key) => Number(key.slice(4))))

/** Writes the batch that begins with entry n. */
function write (n) {
  const numbers = Array.from({ length: args.batch }, (_, index) => n + index)
  if (args.kind === 'transaction') {
    store.transaction((tx) => {
      for (const each of numbers) tx.useNamespace(namespace.name).set(`key ${each}`, value(each))
    })
  } else if (args.batch === 1) namespace.set(`key ${n}`, value(n))
  else namespace.setMany(numbers.map((each) => [`key ${each}`, value(each)]))
  for (const each of numbers) present.add(each)
}

function remove (n) {
  namespace.delete(`key ${n}`)
  present.delete(n)
}

/** What the store holds, against what it acknowledged. */
function check () {
  let wrong = 0
  let found = 0
  for (const [key, text] of namespace) {
    const n = Number(key.slice(4))
    if (text !== value(n) || (args.only !== 'check' && !present.has(n))) wrong += 1
    found += 1
  }
  if (args.only !== 'check') wrong += present.size - found
  say({ found, wrong })
}

function run () {
  let acknowledged = args.beginAt ?? 0
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
  const removed = outcome(() => [0, 1, 2].forEach(remove))
  say({ removed: removed.code ?? 'ok', message: removed.message })
  hear()
  const { code, message } = outcome(() => write(acknowledged))
  say(code === undefined ? { wrote: true } : { code, message })
}

if (args.only !== 'check') run()
check()
