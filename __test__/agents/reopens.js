'use strict'

// Opens and closes a store without end, to be stopped in the middle of it.

const { openStore } = require('../..')
const { args, say } = require('../support/agent')

openStore(args).close()
say('ready')
for (;;) openStore(args).close()
