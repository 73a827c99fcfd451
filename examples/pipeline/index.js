'use strict'

// Four agents, all started at once, the last stage first. Each waits for what the stage before it
// leaves in `pipeline:job-1`, adds its own key and moves `status` on, both in one commit: the next
// stage begins at once, and its status must not come before. A watcher prints the status.

const { createServer } = require('node:http')
const { once } = require('node:events')
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const { runExample, check } = require('../harness')

const stages = ['fetched', 'parsed', 'analysed', 'complete']
const timeoutMs = 60000

runExample('pipeline', async ({ store, start }) => {
  const agent = (name, ...args) =>
    start(join(__dirname, `${name}.js`), { args: args.map(String), isShown: name === 'watcher' })

  const hopeless = await agent('parser', 10).ended
  check('a stage whose input does not come says so', hopeless.code, 1)
  check('and which', /"raw" in "pipeline:job-1".*within 10 ms/.test(hopeless.stderr), true)
  check('and leaves nothing behind', store.listNamespaces(), [])

  const server = await serve(join(__dirname, 'orders.csv'))
  try {
    const watcher = agent('watcher')
    const waiting = ['reporter', 'analyser', 'parser'].map(name => agent(name, timeoutMs))
    const agents = [...waiting, agent('fetcher', server.url)]
    await Promise.all(agents.map(agent => agent.succeeded()))
    checkOrder((await watcher.succeeded()).split('\n'))
  } finally {
    server.close()
  }

  const pipeline = store.useNamespace('pipeline:job-1')
  check('the report', pipeline.get('report'), readFileSync(join(__dirname, 'expected.md'), 'utf8'))
  const authors = pipeline.listKeys().map(key => [key, pipeline.getEntry(key).createdBy])
  check('who made what', Object.fromEntries(authors), {
    analysis: 'analyser', parsed: 'parser', raw: 'fetcher', report: 'reporter', status: 'fetcher'
  })
  return '4 agents, started at once, turned a download into the expected report'
})

/** What the watcher printed: stages in their order, the last one among them. */
function checkOrder (seen) {
  check('the stages that the watcher saw', seen, stages.filter(stage => seen.includes(stage)))
  check('the last of them', seen.at(-1), stages.at(-1))
}

/** Serves one file on the loopback interface, on a free port. */
async function serve (file) {
  const server = createServer((request, response) => response.end(readFileSync(file)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = () => {
    server.closeAllConnections()
    server.close()
  }
  return { url: `http://127.0.0.1:${server.address().port}/orders.csv`, close }
}
