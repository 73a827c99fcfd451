'use strict'

// Two jobs leave data behind. What has a ttl goes by itself; the rest goes with `clear`.

const { readdirSync } = require('node:fs')
const { join } = require('node:path')
const { runExample, check } = require('../harness')

const directory = join(__dirname, '..', 'pipeline')
const files = readdirSync(directory).filter(name => name.endsWith('.js')).sort()

runExample('clean-up', async ({ store, start }) => {
  const cache = store.useNamespace('cache')
  const expired = expiries(cache, 2)
  for (const job of ['job-1', 'job-2']) {
    await start(join(__dirname, 'job.js'), { name: job, args: [job, directory] }).succeeded()
  }
  check('what has expired is told', await expired, ['job-1:lock', 'job-2:lock'])
  check('an expired key is in no list, count or read', {
    keys: cache.listKeys(),
    count: cache.count(),
    lock: cache.get('job-1:lock')
  }, { keys: ['job-1:listing', 'job-2:listing'], count: 2, lock: undefined })
  check('one that has an hour left is there', cache.get('job-1:listing'), files)

  const cleared = await start(join(__dirname, 'cleaner.js'), { args: ['job-1'] }).succeeded()
  check('what the cleaner removed', JSON.parse(cleared), { temp: files.length, cache: 1 })
  check('namespaces that are left: an empty one does not exist',
    store.listNamespaces(), ['cache', 'results', 'temp:job-2'])
  check('the other job\'s cache is untouched', cache.listKeys(), ['job-2:listing'])
  check('results of both jobs', store.useNamespace('results').listKeys(), ['job-1', 'job-2'])
  return `2 keys expired by themselves, ${files.length + 1} cleared, the other job untouched`
})

/** The first keys of the namespace that expire while this watches. */
async function expiries (namespace, count) {
  const keys = []
  for await (const { type, key } of namespace.watch()) {
    if (type === 'expire') keys.push(key)
    if (keys.length === count) return keys
  }
}
