'use strict'

// The product itself, through the path a clone has it under. Defaults throughout: 'strict'.

const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('../..')
const { version } = require('../../package.json')

/** A store of the product or of another build of it, and the one namespace that the rows use. */
function open (openStore, options) {
  const store = openStore({ agent: 'bench', ...options })
  const namespace = store.useNamespace('bench')
  return {
    get: key => namespace.get(key),
    getAll: () => namespace.getAll(),
    listKeys: prefix => namespace.listKeys(prefix === undefined ? undefined : { prefix }),
    set: (key, value) => namespace.set(key, value),
    setMany: entries => namespace.setMany(entries),
    increment: key => namespace.increment(key),
    update: (key, change) => namespace.update(key, change),
    clear: () => namespace.clear(),
    settle: () => store.flush(),
    space: () => ({
      fileBytes: fs.statSync(path.join(store.path, 'data.mdb')).size,
      liveBytes: store.stats().usedBytes
    }),
    close: () => store.close(),
    store
  }
}

const makePeer = (name, version, openStore, options) => ({
  name,
  version: () => version,
  open: directory => open(openStore, { path: directory, ...options })
})

module.exports = { ...makePeer('commonhold', version, openStore), makePeer }
