'use strict'

// Loads the package as an ES module and says what it exports; uses the default store if told to.

const { args, say } = require('../support/agent')

import('commonhold').then((commonhold) => {
  const interop = ['default', 'module.exports']
  const names = Object.keys(commonhold).filter((name) => !interop.includes(name))
  if (!args.open) return say({ names: names.sort() })
  commonhold.dataStore.set('key', 1)
  commonhold.useNamespace('n').set('key', 2)
  say({
    names: names.sort(),
    namespaces: commonhold.listNamespaces(),
    values: [
      commonhold.useNamespace('default').get('key'),
      require('commonhold').useNamespace('n').get('key')
    ]
  })
})
