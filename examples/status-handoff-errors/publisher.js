'use strict'

// Publishes the forecast, unless an agent before it has reported an error.

const { useNamespace } = require('../..')

const errors = useNamespace('workflow:errors')
if (errors.count() > 0) {
  console.error(`not published, ${errors.count()} errors: ${errors.listKeys().join(', ')}`)
  process.exit(1)
}

const forecast = useNamespace('results').get('forecast')
useNamespace('published').set('forecast', forecast)
useNamespace('workflow:status').set('current_stage', { stage: 'published' })
