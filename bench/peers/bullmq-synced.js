'use strict'

// BullMQ at the durability of 'strict': its server syncs its log before it answers.

const { makePeer } = require('./bullmq')

module.exports = makePeer('BullMQ, synced', { durable: true })
