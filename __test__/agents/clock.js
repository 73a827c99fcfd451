'use strict'

// Says what it sees of a namespace by its own clock, after writing a key if it is told to.

const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const store = openStore(args.path)
const namespace = store.useNamespace('n')
if (args.write) namespace.set(args.write, 1, { ttl: args.ttl })

say({
  keys: namespace.listKeys(),
  count: namespace.count(),
  has: namespace.has('key'),
  namespaces: store.listNamespaces(),
  version: args.write && namespace.getEntry(args.write).version
})
