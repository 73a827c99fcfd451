'use strict'

// Opens a store, reads and writes in more namespaces than a process has handles, closes it, and so on
// until it is told to end. Every value says where it belongs.

const { openStore } = require(process.env.COMMONHOLD_PACKAGE ?? '../..')
const { args, say } = require('../../__test__/support/agent')
const { generator } = require('../../__test__/support/random')

const random = generator(args.seed)
const found = { opened: 0, read: 0, increments: 0, wrong: [] }

function visit (store) {
  for (let n = random.below(200); n > 0; n--) {
    const name = `job ${random.below(args.namespaces)}`
    const namespace = store.useNamespace(name)
    const value = random.next() < 0.5 ? namespace.get('name') : namespace.getAll().name
    if (value !== name) found.wrong.push({ name, value })
    found.read += 1
    if (random.next() < 0.1) {
      namespace.increment('visits')
      found.increments += 1
    }
  }
}

function round () {
  const store = openStore(args.path)
  found.opened += 1
  visit(store)
  store.close()
  setImmediate(round)
}

process.stdin.on('end', () => {
  say(found)
  process.exit()
}).resume()
round()
