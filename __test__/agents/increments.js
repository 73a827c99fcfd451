'use strict'

// Increments without end and says each number it got.

const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const namespace = openStore(args.path).useNamespace('default')
for (;;) say({ n: namespace.increment('counter') })
