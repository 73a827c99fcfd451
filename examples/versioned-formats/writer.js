'use strict'

// A current agent: stores the JSON of its arguments, prints the code of the error if it may not.

const { useNamespace } = require('../..')
const { settings: schema } = require('./formats')

const [key, json] = process.argv.slice(2)
try {
  useNamespace('settings', { schema }).set(key, JSON.parse(json))
} catch (error) {
  const namesTheField = error.message.includes('retries')
  console.log(JSON.stringify({ code: error.code, namesTheField }))
}
