'use strict'

// The formats of a crawler's settings. Version 1 had no version field.

const { z } = require('zod')

const settings = z.strictObject({
  version: z.literal(2),
  endpoints: z.array(z.url()).min(1),
  retries: z.int().min(0).max(10).default(3)
})

/** Version 2 of a value of version 1 or 2. */
function upgrade (value) {
  if (value.version === 2) return value
  const upgraded = { version: 2, endpoints: [value.endpoint] }
  return value.retry === undefined ? upgraded : { ...upgraded, retries: Number(value.retry) }
}

module.exports = { settings, upgrade }
