'use strict'

const { check } = require('./lib/check')
const { DataStore } = require('./lib/store')
const { DataStoreError } = require('./lib/errors')

const openStore = (options) => new DataStore(options, false)
const dataStore = new DataStore(undefined, true)
const useNamespace = (name, options) => dataStore.useNamespace(name, options)
const listNamespaces = (options) => dataStore.listNamespaces(options)

module.exports = { openStore, dataStore, useNamespace, listNamespaces, check, DataStoreError }
