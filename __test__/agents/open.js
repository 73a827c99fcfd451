'use strict'

// Opens a store, reads and writes a little, and says what it saw.

const commonhold = require('../..')
const { args, say } = require('../support/agent')

try {
  const store = args.useDefault ? commonhold.dataStore : commonhold.openStore(args.options)
  const got = store.get('key')
  if (!args.options?.readOnly) store.useNamespace(`of ${store.agent}`).set('me', 1)
  const entry = store.useNamespace(`of ${store.agent}`).getEntry('me')
  say({ path: store.path, agent: store.agent, createdBy: entry?.createdBy, got })
} catch (error) {
  say({ code: error.code, message: error.message })
}
