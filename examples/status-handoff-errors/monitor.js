'use strict'

// Prints where the workflow is. Who said so, and when, comes with every entry.

const { useNamespace } = require('../..')

const entry = useNamespace('workflow:status').getEntry('current_stage')
const errors = [...useNamespace('workflow:errors').entries()]
console.log(JSON.stringify({
  ...entry?.value,
  by: entry?.updatedBy,
  at: entry?.updatedAt,
  errors: Object.fromEntries(errors.map(([where, { message }]) => [where, message]))
}))
