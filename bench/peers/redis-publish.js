'use strict'

// Publish and subscribe of Redis or Valkey on the loopback, by ioredis as the section "Pub/Sub" of
// its README shows: a connection for each side. The server stores nothing and writes nothing.

const Redis = require('ioredis')
const { Arrivals, now } = require('../arrivals')
const { startCompanion } = require('../companion')
const { startRedis } = require('../redis')

const CHANNEL = 'message'

/** `send(connection, channel, text)` sends one message; `durable` has the server sync its log. */
function makePeer (name, send, { durable, newsFrom }) {
  let label

  async function open (directory) {
    const server = await startRedis(directory, { durable })
    label = server.label
    const receiver = await startCompanion(__filename, 'receiver', { port: server.port })
    const connection = new Redis(server.port, server.host)
    return {
      newsFrom,
      send: message => send(connection, CHANNEL, JSON.stringify(message)),
      takeArrivals: sequence => receiver.ask('takeUpTo', sequence),
      async close () {
        await receiver.end()
        connection.disconnect()
        await server.stop()
      }
    }
  }

  return { name, version: () => label, open, roles: { receiver } }
}

async function receiver ({ port }) {
  const connection = new Redis(port, '127.0.0.1')
  const arrivals = new Arrivals()
  connection.on('message', (channel, text) => {
    const receivedAt = now()
    arrivals.add(JSON.parse(text).sequence, receivedAt)
  })
  await connection.subscribe(CHANNEL)
  return { takeUpTo: sequence => arrivals.takeUpTo(sequence) }
}

const publish = (connection, channel, text) => connection.publish(channel, text)

module.exports = {
  ...makePeer('publish', publish, { durable: false, newsFrom: 'calledAt' }),
  makePeer
}
