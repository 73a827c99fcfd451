'use strict'

// The product as a messenger: `set` in one process, `watch` of the key in another. Defaults
// throughout: 'strict'.

const { openStore } = require('../..')
const { version } = require('../../package.json')
const { Arrivals, now } = require('../arrivals')
const { startCompanion } = require('../companion')

const KEY = 'message'

const useBench = (directory, agent) => {
  const store = openStore({ path: directory, agent })
  return { store, namespace: store.useNamespace('bench') }
}

/** The messenger whose receiver runs `receive(namespace, key, onMessage)` in the file's process. */
function makePeer (name, file, receive) {
  async function open (directory) {
    const { store, namespace } = useBench(directory, 'sender')
    const receiver = await startCompanion(file, 'receiver', { directory })
    return {
      newsFrom: 'returnedAt',
      send: message => namespace.set(KEY, message),
      takeArrivals: sequence => receiver.ask('takeUpTo', sequence),
      async close () {
        await receiver.end()
        store.close()
      }
    }
  }

  async function receiver ({ directory }) {
    const { namespace } = useBench(directory, 'receiver')
    const arrivals = new Arrivals()
    receive(namespace, KEY, message => arrivals.add(message.sequence, now()))
    return { takeUpTo: sequence => arrivals.takeUpTo(sequence) }
  }

  return { name, version: () => version, open, roles: { receiver } }
}

async function watch (namespace, key, onMessage) {
  for await (const change of namespace.watch({ key })) onMessage(change.value)
}

module.exports = { ...makePeer('commonhold, watch', __filename, watch), makePeer }
