'use strict'

// Meets a disk that fails (support/failing-disk.c), and says what each kind of call does after.

const fs = require('node:fs')
const { Worker, isMainThread, parentPort, workerData } = require('node:worker_threads')
const { openStore } = require('../..')

if (isMainThread) run(require('../support/agent'))
else other(workerData)

/** The other thread: a write for each message. */
function other (path) {
  const { outcome } = require('../support/agent')
  const shared = openStore({ path })
  parentPort.on('message', () => {
    parentPort.postMessage(outcome(() => shared.useNamespace('n').set('thread', 1)))
  }).postMessage('ready')
}

async function run ({ args, hear, outcome, say }) {
  const { path, control, fault } = args
  const worker = new Worker(__filename, { workerData: path, argv: process.argv.slice(2) })
  const answer = () => new Promise((resolve) => worker.once('message', resolve))
  await answer()
  const [store, second] = [openStore({ path }), openStore({ path })]
  let third
  const namespace = store.useNamespace('n')
  const queue = store.useQueue('q')
  for (let index = 0; index < 200; index++) store.useNamespace(`n${index}`).set('k', index)
  namespace.setMany([['a', 1], ['b', 2]])
  queue.push('first')
  queue.push('second')
  const task = queue.claim()
  fs.writeFileSync(`${control}.log`, '')
  fs.writeFileSync(control, fault)
  const first = outcome(() => namespace.set('lost', 1))
  fs.rmSync(control)
  fs.writeFileSync(`${control}.log`, '')
  say({ first })

  const writes = {
    set: () => namespace.set('a', 3),
    'a new namespace': () => store.useNamespace('new').set('a', 3),
    setMany: () => namespace.setMany([['a', 3]]),
    update: () => namespace.update('a', (value) => value + 1),
    increment: () => namespace.increment('a'),
    delete: () => namespace.delete('a'),
    deleteMany: () => namespace.deleteMany(['a']),
    clear: () => namespace.clear(),
    transaction: () => store.transaction((tx) => tx.useNamespace('n').set('a', 3)),
    push: () => queue.push('third'),
    claim: () => queue.claim(),
    renew: () => task.renew(),
    complete: () => task.complete(),
    'another handle': () => second.useNamespace('n').set('a', 3),
    'a handle opened after': () => (third = openStore({ path })).useNamespace('n').set('a', 3),
    flush: () => store.flush()
  }
  const refused = {}
  if (first.code === 'ERR_IO') {
    for (const [name, write] of Object.entries(writes)) refused[name] = outcome(write)
    worker.postMessage('write')
    refused['another thread'] = await answer()
    // More namespaces than there are handles: the file is mapped anew.
    let sum = 0
    for (let index = 0; index < 200; index++) sum += store.useNamespace(`n${index}`).get('k')
    refused['a write after recycling'] = outcome(writes.set)
    say({ refused, sum, log: fs.readFileSync(`${control}.log`, 'utf8') })
  }
  say({ reads: outcome(() => [namespace.get('a'), namespace.getAll(), queue.stats().pending]) })
  hear()
  say({ sees: outcome(() => namespace.get('other')) })
  if (first.code === 'ERR_IO') {
    await worker.terminate()
    store.close()
    say({ 'one handle is still open': outcome(() => second.useNamespace('n').set('a', 3)) })
    for (const handle of [second, third]) handle.close()
    say({ 'opened again': outcome(() => openStore({ path }).useNamespace('n').set('again', 1)) })
  } else {
    say({ 'the same handle': outcome(() => namespace.set('a', 4)) })
    await worker.terminate()
  }
  process.exit()
}
