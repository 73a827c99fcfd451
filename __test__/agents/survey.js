'use strict'

// Says how much of a namespace each way of reading finds.

const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const namespace = openStore({ path: args.path, readOnly: true }).useNamespace(args.namespace)
const keys = namespace.listKeys()
say({
  count: namespace.count(),
  listed: keys.length,
  read: Object.keys(namespace.getAll()).length,
  first: keys[0],
  last: keys.at(-1)
})
