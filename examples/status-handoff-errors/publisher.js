'use strict'

// Waits for the forecast and publishes it, unless an agent before it has reported an error.

const { useNamespace } = require('../..')

const status = useNamespace('workflow:status')
const errors = useNamespace('workflow:errors')

async function run () {
  const forecast = await useNamespace('results').waitFor('forecast', { timeout: 60000 })
  const found = errors.listKeys()
  if (found.length > 0) {
    console.error(`not published, ${found.length} errors: ${found.join(', ')}`)
    status.set('current_stage', { stage: 'refused' })
    process.exitCode = 1
  } else {
    useNamespace('published').set('forecast', forecast)
    status.set('current_stage', { stage: 'published' })
  }
}

run()
