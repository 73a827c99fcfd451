'use strict'

// The product itself, through the path a clone has it under. Defaults throughout: 'strict'.

const { openStore } = require('../..')
const { version } = require('../../package.json')

/** A store of the product or of another build of it, and the one namespace that the rows use. */
const open = (openStore, directory) => {
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

const makePeer = (name, version, openStore) =>
  ({ name, version: () => version, open: directory => open(openStore, directory) })

module.exports = { ...makePeer('commonhold', version, openStore), makePeer }
