'use strict'

// For each flip: copies the store, flips the bit, reads all there is, and says a digest of it.

const { createHash } = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('../..')
const { args, outcome, say } = require('../support/agent')

const scratch = fs.mkdtempSync(path.join(path.dirname(args.directory), 'flip-'))
// Only for a store that would never tell its last change.
const STUCK_MS = 30_000

function copyWith (flip, index) {
  const copy = path.join(scratch, String(index))
  fs.mkdirSync(copy, { mode: 0o700 })
  fs.copyFileSync(path.join(args.directory, 'commonhold.json'), path.join(copy, 'commonhold.json'))
  const data = fs.readFileSync(path.join(args.directory, 'data.mdb'))
  if (flip !== null) data[flip[0]] ^= 1 << flip[1]
  fs.writeFileSync(path.join(copy, 'data.mdb'), data)
  return copy
}

/** Everything that a reader can ask for, or the code of the error. */
async function readAll (directory) {
  const read = (call) => {
    const { value, code } = outcome(call)
    return code === undefined ? value : { code }
  }
  const store = read(() => openStore(directory))
  if (store.code !== undefined) return store
  const found = [read(() => store.listNamespaces()), read(() => store.stats().lastVersion)]
  for (const [name, keys] of Object.entries(args.keys)) {
    const namespace = store.useNamespace(name)
    found.push(keys.map((key) => read(() => namespace.getEntry(key))))
    found.push(keys.map((key) => read(() => namespace.get(key))))
    found.push(read(() => namespace.getAll()), read(() => namespace.listKeys()))
    found.push(read(() => namespace.listKeys({ reverse: true })), read(() => namespace.count()))
  }
  for (const name of args.queues) {
    const queue = store.useQueue(name)
    found.push(read(() => queue.list()), read(() => queue.stats()), read(() => queue.results()))
  }
  found.push(await history(store))
  store.close()
  return found
}

/** The whole history up to a change that is made here. */
async function history (store) {
  const changes = []
  const stuck = setTimeout(() => {
    say({ stuck: true })
    process.exit(0)
  }, STUCK_MS)
  try {
    store.useNamespace('the end').set('key', 1)
    for await (const change of store.watch({ since: 1 })) {
      changes.push(change)
      if (change.namespace === 'the end' && change.type === 'set') break
    }
  } catch (error) {
    changes.push({ code: error.code })
  }
  clearTimeout(stuck)
  return changes
}

async function run () {
  for (const [index, flip] of args.flips.entries()) {
    const copy = copyWith(flip, index)
    const text = JSON.stringify(await readAll(copy))
    fs.rmSync(copy, { recursive: true })
    say({ digest: createHash('sha1').update(text).digest('hex') })
  }
}

run()
