'use strict'

// An old agent writes version 1, an upgrader turns it into version 2, and a schema (zod here; any
// Standard Schema will do) keeps current agents from storing anything else.

const { join } = require('node:path')
const { runExample, check } = require('../harness')

const wrong = { version: 2, endpoints: ['https://blog.example'], retries: -1 }
const right = { version: 2, endpoints: ['https://blog.example'] }

runExample('versioned-formats', async ({ store, start }) => {
  const settings = store.useNamespace('settings')
  const agent = (script, args) => start(join(__dirname, `${script}.js`), { args }).succeeded()

  await agent('legacy-writer')
  await agent('upgrader')
  check('upgraded, with the default of the schema filled in', settings.getAll(), {
    docs: { version: 2, endpoints: ['https://docs.example/sitemap.xml'], retries: 5 },
    news: { version: 2, endpoints: ['https://news.example/feed'], retries: 3 }
  })
  const { createdBy, updatedBy, metadata } = settings.getEntry('docs')
  check('who wrote it', { createdBy, updatedBy, metadata },
    { createdBy: 'legacy-writer', updatedBy: 'upgrader', metadata: { upgradedFrom: 1 } })

  const refused = await agent('writer', ['blog', JSON.stringify(wrong)])
  check('what the schema refuses', JSON.parse(refused), { code: 'ERR_SCHEMA', namesTheField: true })
  check('nothing of it is stored', settings.has('blog'), false)

  check('what it accepts', await agent('writer', ['blog', JSON.stringify(right)]), '')
  check('is stored as the schema puts it out', settings.get('blog'), { ...right, retries: 3 })
  return '2 entries upgraded, 1 wrong value refused, 1 right value completed'
})
