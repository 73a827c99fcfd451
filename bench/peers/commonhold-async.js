'use strict'

// The product's `store.async`: a write is on the disk when its promise is fulfilled. Defaults
// throughout: 'strict'.

const { openStore } = require('../..')
const { version } = require('../../package.json')
const { Missing } = require('../missing')

function open (directory) {
  const store = openStore({ path: directory, agent: 'bench' })
  if (store.async === undefined) throw new Missing('this build has no store.async')
  const namespace = store.async.useNamespace('bench')
  return {
    get: key => namespace.get(key),
    set: (key, value) => namespace.set(key, value),
    setMany: entries => namespace.setMany(entries),
    increment: key => namespace.increment(key),
    update: (key, change) => namespace.update(key, change),
    close: () => store.async.close(),
    store
  }
}

module.exports = { name: 'commonhold, async', version: () => version, open }
