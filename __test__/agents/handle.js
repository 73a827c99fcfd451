'use strict'

// Handles every commit once: the log of what it has handled is also where it finds the version to
// resume from. A commit is in the log before its successor is asked for.

const fs = require('node:fs')
const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const handled = fs.existsSync(args.log) ? fs.readFileSync(args.log, 'utf8').split('\n') : []
const since = handled.length > 1 ? JSON.parse(handled.at(-2)).version : 0
const log = fs.openSync(args.log, 'a')
const namespace = openStore({ path: args.path, readOnly: args.readOnly }).useNamespace('n')

async function run () {
  let keys = []
  for await (const change of namespace.watch({ since })) {
    if (change.type !== 'set') throw new Error(`an unexpected ${change.type}`)
    keys.push(change.key)
    if (!change.last) continue
    fs.writeSync(log, `${JSON.stringify({ version: change.version, keys })}\n`)
    say({ version: change.version })
    if (keys.includes('end')) return
    keys = []
  }
}

run()
