'use strict'

const { useNamespace } = require('../..')

async function run (url) {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)

  const pipeline = useNamespace('pipeline:job-1')
  pipeline.set('raw', await response.text(), { metadata: { source: url } })
  pipeline.set('status', { stage: 'fetched' })
}

run(process.argv[2])
