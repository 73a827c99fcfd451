'use strict'

// Takes the handoff, if it is the first to do so: `delete` says true to one process only.

const { useNamespace } = require('../..')

const handoff = useNamespace('handoff')
const signal = handoff.get('data-ready')
process.send({ kind: 'has read', signal })
process.once('message', () => {
  const mine = handoff.delete('data-ready')
  process.send({ kind: 'took it', mine })
  if (mine) useNamespace('results').set('forecast', forecast(signal))
  process.disconnect()
})

function forecast ({ namespace, key }) {
  const averages = useNamespace(namespace).get(key)
  return Object.fromEntries([...averages].map(([station, celsius]) =>
    [station, celsius < 8 ? 'cold' : 'mild']))
}
