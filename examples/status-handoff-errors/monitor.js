'use strict'

// Prints what happens in the workflow, in the order in which it happened, until the forecast is
// published. A line of the file that another has replaced may be skipped; an error never is.

const { dataStore } = require('../..')

async function run () {
  const signal = AbortSignal.timeout(60000)
  let errors = 0
  for await (const change of dataStore.watch({ prefix: 'workflow:', signal })) {
    if (change.namespace === 'workflow:errors') {
      console.log(describeError(change))
      if (change.type === 'set') errors += 1
    } else {
      const { stage, line, of } = change.value
      console.log(line === undefined ? stage : `${stage}, line ${line} of ${of}`)
      if (stage === 'refused') process.send({ kind: 'has seen the refusal', errors })
      if (stage === 'published') break
    }
  }
  process.disconnect()
}

function describeError ({ type, key, value }) {
  return type === 'set' ? `error in ${key}: ${value.message}` : 'errors cleared'
}

run()
