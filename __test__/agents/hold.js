'use strict'

// Has a store open until it is told something.

const { openStore } = require('../..')
const { args, hear, say } = require('../support/agent')

const store = openStore(args.options)
say({ holds: store.path })
hear()
