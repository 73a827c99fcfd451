'use strict'

const { useNamespace } = require('../..')

async function run (url) {
  const response = await fetch(url)
  if (!response.ok) throw new Error(`${url} answered ${response.status}`)

  const raw = await response.text()
  useNamespace('pipeline:job-1').setMany({ raw, status: { stage: 'fetched', source: url } })
}

run(process.argv[2])
