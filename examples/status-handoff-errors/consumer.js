'use strict'

// Waits for the handoff and takes it, if it is the first to do so: `delete` says true to one
// process only. Before that it waits for the runner, so that both consumers have seen the signal.

const { once } = require('node:events')
const { useNamespace } = require('../..')

const handoff = useNamespace('handoff')

async function run () {
  const signal = await handoff.waitFor('data-ready', { timeout: 60000 })
  process.send({ kind: 'has read', signal })
  await once(process, 'message')

  const mine = handoff.delete('data-ready')
  if (mine) useNamespace('results').set('forecast', forecast(signal))
  process.send({ kind: 'finished', mine }, () => process.disconnect())
}

function forecast ({ namespace, key }) {
  const averages = useNamespace(namespace).get(key)
  return Object.fromEntries([...averages].map(([station, celsius]) =>
    [station, celsius < 8 ? 'cold' : 'mild']))
}

run()
