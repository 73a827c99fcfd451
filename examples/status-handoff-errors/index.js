'use strict'

// Status, handoff and errors travel through the store. All agents are started at once, those that
// wait for others first.

const { join } = require('node:path')
const { runExample, message, check } = require('../harness')

runExample('status-handoff-errors', async ({ store, start }) => {
  const agent = (script, options) => start(join(__dirname, `${script}.js`), options)

  const monitor = agent('monitor', { isShown: true })
  const seen = message(monitor, 'has seen the refusal')
  const publisher = agent('publisher')
  const [taken] = await Promise.all([
    handOver(agent),
    agent('processor', { args: [join(__dirname, 'readings.csv')] }).succeeded()
  ])
  check('one handoff, two consumers: how many took it', taken, 1)
  check('the forecast', store.useNamespace('results').get('forecast'),
    { harbour: 'mild', hill: 'cold', airport: 'mild' })
  check('the handoff is gone', store.listNamespaces({ prefix: 'handoff' }), [])

  const refused = await publisher.ended
  check('errors stop the publisher', [refused.code, refused.stderr.trim()],
    [1, 'not published, 2 errors: readings.csv:5, readings.csv:8'])
  check('nothing was published', store.listNamespaces({ prefix: 'published' }), [])
  check('errors that the monitor has seen', (await seen).errors, 2)

  store.useNamespace('workflow:errors').clear()
  await agent('publisher').succeeded()
  check('published once the errors are dealt with',
    store.useNamespace('published').get('forecast'), store.useNamespace('results').get('forecast'))
  checkMonitor((await monitor.succeeded()).split('\n'))
  return '2 bad lines reported and seen downstream, 1 handoff taken by 1 of 2 consumers'
})

/** Lets two consumers see the same signal before either takes it; returns how many got it. */
async function handOver (agent) {
  const consumers = ['consumer-1', 'consumer-2'].map(name => agent('consumer', { name }))
  const finished = consumers.map(consumer => message(consumer, 'finished'))
  const seen = await Promise.all(consumers.map(consumer => message(consumer, 'has read')))
  check('what both see', seen.map(({ signal }) => signal),
    Array(2).fill({ namespace: 'results', key: 'averages' }))
  for (const consumer of consumers) consumer.child.send('take it')
  const taken = await Promise.all(finished)
  await Promise.all(consumers.map(consumer => consumer.succeeded()))
  return taken.filter(({ mine }) => mine).length
}

/** What the monitor printed, but the lines of the file, of which it may have skipped some. */
function checkMonitor (printed) {
  check('what the monitor printed', printed.filter(line => !line.startsWith('process')), [
    'error in readings.csv:5: no temperature',
    'error in readings.csv:8: no temperature',
    'refused',
    'errors cleared',
    'published'
  ])
}
