'use strict'

// Loads two copies of the package and opens one store with both.

const path = require('node:path')
const first = require('../..')
const { args, outcome, say } = require('../support/agent')
const second = require(args.copy)

const at = (name) => path.join(args.directory, name)
const store = first.openStore(at('shared'))
store.set('key', 1)
const duplicate = outcome(() => {
  try {
    second.openStore(at('shared')).close()
  } catch (error) {
    error.message = String(error instanceof first.DataStoreError)
    throw error
  }
})
store.set('key', 2)
const elsewhere = second.openStore(at('other'))
elsewhere.set('key', 1)
const firstStillWorks = store.get('key')
store.close()
const reopened = second.openStore(at('shared'))
say({
  refused: duplicate.code,
  isDataStoreError: duplicate.message === 'true',
  firstStillWorks,
  otherPath: elsewhere.get('key'),
  afterClose: reopened.get('key')
})
