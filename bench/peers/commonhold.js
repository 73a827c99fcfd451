'use strict'

// The product itself, through the path a clone has it under. Defaults throughout: 'strict'.

const { openStore } = require('../..')
const { version } = require('../../package.json')

/** Opens a store and the one namespace that the rows use. */
function open (directory) {
  const store = openStore({ path: directory, agent: 'bench' })
  const namespace = store.useNamespace('bench')
  return {
    get: key => namespace.get(key),
    getAll: () => namespace.getAll(),
    listKeys: prefix => namespace.listKeys(prefix === undefined ? undefined : { prefix }),
    set: (key, value) => namespace.set(key, value),
    setMany: entries => namespace.setMany(entries),
    clear: () => namespace.clear(),
    close: () => store.close()
  }
}

module.exports = { name: 'commonhold', version: () => version, open }
