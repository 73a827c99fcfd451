'use strict'

// Prints the stages as they advance. A watcher that is slow may skip a stage that another has
// replaced, but never the last.

const { useNamespace } = require('../..')

const pipeline = useNamespace('pipeline:job-1')

async function run () {
  const signal = AbortSignal.timeout(60000)
  for await (const { value } of pipeline.watch({ key: 'status', signal })) {
    console.log(value.stage)
    if (value.stage === 'complete') return
  }
}

run()
