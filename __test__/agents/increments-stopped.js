'use strict'

// Increments without end, to be stopped in the middle of it. The last number it got is in a file.

const fs = require('node:fs')
const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const acknowledged = fs.openSync(args.acknowledged, 'w')
const namespace = openStore({ path: args.path, agent: args.agent }).useNamespace(args.namespace)
const number = Buffer.alloc(4)

function increment () {
  number.writeUInt32LE(namespace.increment('counter'))
  fs.writeSync(acknowledged, number, 0, 4, 0)
}

increment()
say('ready')
for (;;) increment()
