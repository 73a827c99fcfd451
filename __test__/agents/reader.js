'use strict'

// Reads once and then sits, in the event loop or in a system call, until it is told to stop.

const { openStore } = require('../..')
const { args, hear, say } = require('../support/agent')

const namespace = openStore(args.path).useNamespace('n')
const read = () => namespace.get('key')[0]
read()
const iterator = namespace.entries()
iterator.next()
say({ ready: true })

function stop () {
  say({ last: read() })
  process.exit(0)
}

if (args.how === 'blocked') {
  hear()
  stop()
} else {
  process.stdin.once('data', stop)
}
