'use strict'

// Status, handoff and errors travel through the store. The runner starts each agent when its turn
// has come; waiting inside an agent without polling is not yet there.

const { join } = require('node:path')
const { runExample, message, check } = require('../harness')

runExample('status-handoff-errors', async ({ store, start }) => {
  const agent = (script, options) => start(join(__dirname, `${script}.js`), options)

  await agent('processor', { args: [join(__dirname, 'readings.csv')] }).succeeded()
  const { at, ...status } = JSON.parse(await agent('monitor').succeeded())
  check('what the monitor sees', status, {
    stage: 'processed',
    line: 9,
    of: 9,
    by: 'processor',
    errors: { 'readings.csv:5': 'no temperature', 'readings.csv:8': 'no temperature' }
  })
  check('the time of the status is a time', Number.isNaN(Date.parse(at)), false)

  check('one handoff, two consumers: how many took it', await handOver(agent), 1)
  check('the forecast', store.useNamespace('results').get('forecast'),
    { harbour: 'mild', hill: 'cold', airport: 'mild' })
  check('the handoff is gone', store.listNamespaces({ prefix: 'handoff' }), [])

  const refused = await agent('publisher').ended
  check('errors stop the publisher', [refused.code, refused.stderr.trim()],
    [1, 'not published, 2 errors: readings.csv:5, readings.csv:8'])
  check('nothing was published', store.listNamespaces({ prefix: 'published' }), [])

  store.useNamespace('workflow:errors').clear()
  await agent('publisher').succeeded()
  check('published once the errors are dealt with',
    store.useNamespace('published').get('forecast'), store.useNamespace('results').get('forecast'))
  return '2 bad lines reported and seen downstream, 1 handoff taken by 1 of 2 consumers'
})

/** Lets two consumers see the same signal before either takes it; returns how many got it. */
async function handOver (agent) {
  const consumers = ['consumer-1', 'consumer-2'].map(name => agent('consumer', { name }))
  const took = consumers.map(consumer => message(consumer, 'took it'))
  const seen = await Promise.all(consumers.map(consumer => message(consumer, 'has read')))
  check('what both see', seen.map(({ signal }) => signal),
    Array(2).fill({ namespace: 'results', key: 'averages' }))
  for (const consumer of consumers) consumer.child.send('take it')
  const taken = await Promise.all(took)
  await Promise.all(consumers.map(consumer => consumer.succeeded()))
  return taken.filter(({ mine }) => mine).length
}
