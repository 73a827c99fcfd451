'use strict'

// Brings every entry to version 2. `update` starts again when somebody else writes meanwhile, so
// it can run while older and newer agents are at work.

const { useNamespace } = require('../..')
const { settings: schema, upgrade } = require('./formats')

const settings = useNamespace('settings', { schema })
for (const key of settings.keys()) {
  settings.update(key, value => value && upgrade(value), { metadata: { upgradedFrom: 1 } })
}
