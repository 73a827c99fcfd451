'use strict'

// Standard Schema (https://standardschema.dev), the synchronous part.

const { DataStoreError, typeError } = require('./errors')

/** Returns a schema's validate function, or undefined where there is no schema. */
function checkSchema (schema) {
  if (schema === undefined) return undefined
  const standard = schema?.['~standard']
  if (typeof standard?.validate !== 'function' || standard.version !== 1) {
    throw typeError('ERR_INVALID_OPTION',
      'schema implements version 1 of Standard Schema (zod, valibot, arktype ... do)')
  }
  return (value) => standard.validate(value)
}

/** The schema's output for a value. */
function validate (check, value, key) {
  if (check === undefined) return value
  const result = check(value)
  if (typeof result?.then === 'function') {
    // Nobody will wait for it; it must not become an unhandled rejection.
    result.then(undefined, () => {})
    throw new DataStoreError('ERR_SCHEMA',
      'the schema is asynchronous, a write is not: validate before, and give a synchronous schema')
  }
  if (result.issues) throw refused(result.issues, key)
  return result.value
}

function refused (issues, key) {
  const lines = issues.map(({ message, path }) => {
    const steps = (path ?? []).map((step) => String(typeof step === 'object' ? step.key : step))
    return steps.length === 0 ? message : `${steps.join('.')}: ${message}`
  })
  return new DataStoreError('ERR_SCHEMA',
    `the value for ${JSON.stringify(key)} does not match the schema: ${lines.join('; ')}`,
    { cause: issues })
}

module.exports = { checkSchema, validate }
