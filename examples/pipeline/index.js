'use strict'

// Four agents, one after another. Each reads what the stage before it left in `pipeline:job-1`,
// adds its own key and moves `status` on. The runner starts the next stage when one has ended.

const { createServer } = require('node:http')
const { once } = require('node:events')
const { readFileSync } = require('node:fs')
const { join } = require('node:path')
const { runExample, check } = require('../harness')

const stages = { fetcher: 'fetched', parser: 'parsed', analyser: 'analysed', reporter: 'complete' }

runExample('pipeline', async ({ store, start }) => {
  const pipeline = store.useNamespace('pipeline:job-1')
  const agent = (name, args) => start(join(__dirname, `${name}.js`), { args })

  const early = await agent('parser').ended
  check('a stage that is started too early says so', [early.code, early.stderr.trim()],
    [1, 'no "raw" in pipeline:job-1: run the fetcher first'])
  check('and leaves nothing behind', store.listNamespaces(), [])

  const server = await serve(join(__dirname, 'orders.csv'))
  try {
    for (const [name, stage] of Object.entries(stages)) {
      await agent(name, name === 'fetcher' ? [server.url] : []).succeeded()
      check(`status after the ${name}`, pipeline.get('status'), { stage })
      check('who set it', pipeline.getEntry('status').updatedBy, name)
    }
  } finally {
    server.close()
  }

  check('the report', pipeline.get('report'), readFileSync(join(__dirname, 'expected.md'), 'utf8'))
  const authors = pipeline.listKeys().map(key => [key, pipeline.getEntry(key).createdBy])
  check('who made what', Object.fromEntries(authors), {
    analysis: 'analyser', parsed: 'parser', raw: 'fetcher', report: 'reporter', status: 'fetcher'
  })
  return '4 agents turned a download into the expected report'
})

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
