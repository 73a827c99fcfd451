'use strict'

// Leaves behind what a job leaves behind: results to keep, scratch data, and a cache that should
// not outlive its use. The job's name is the first argument.

const { createHash } = require('node:crypto')
const { readdirSync, readFileSync } = require('node:fs')
const { join } = require('node:path')
const { useNamespace } = require('../..')

const [job, directory] = process.argv.slice(2)
const hour = 60 * 60 * 1000

const digests = readdirSync(directory).filter(name => name.endsWith('.js')).sort().map(name =>
  [name, createHash('sha256').update(readFileSync(join(directory, name))).digest('hex')])

useNamespace(`temp:${job}`).setMany(digests)
const cache = useNamespace('cache')
cache.set(`${job}:listing`, digests.map(([name]) => name), { ttl: hour })
cache.set(`${job}:lock`, process.pid, { ttl: 1 })
useNamespace('results').set(job, createHash('sha256').update(digests.join()).digest('hex'))
