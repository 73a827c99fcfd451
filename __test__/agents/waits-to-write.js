'use strict'

// Writes once, and says so before and after.

const { openStore } = require('../..')
const { args, outcome, say } = require('../support/agent')

const { key, ...options } = args
const store = openStore(options)
say('waiting')
say(outcome(() => store.set(key, 1)))
