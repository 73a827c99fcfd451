'use strict'

// What a strict set does, by Redis or Valkey: the message is stored, synced to the disk, and then
// published. One MULTI, and `appendfsync always`, under which the server syncs its log before it
// writes to any connection, that of the subscriber included (aof.c, beforeSleep in server.c).

const { makePeer } = require('./redis-publish')

const setAndPublish = (connection, channel, text) =>
  connection.multi().set(channel, text).publish(channel, text).exec()

module.exports = makePeer('SET + publish, synced', setAndPublish, { durable: true })
