'use strict'

// The product as a messenger whose receiver waits for each message anew, as a handoff does.

const { makePeer } = require('./commonhold-watch')

async function waitForEach (namespace, key, onMessage) {
  let newest = -1
  while (true) {
    const message = await namespace.waitFor(key, { predicate: ({ sequence }) => sequence > newest })
    newest = message.sequence
    onMessage(message)
  }
}

module.exports = makePeer('commonhold, waitFor', __filename, waitForEach)
