'use strict'

// lmdb-js as its README advises for many writes: "asynchronous writes", and `separateFlushed` for
// who needs to know that one is on the disk (section "Overlapping Sync Options"): `put` returns a
// promise whose `flushed` is fulfilled then. No faster way was found: `await put()` followed by
// `await db.flushed`, waves instead of single writes, and `overlappingSync: false` took as long.

const lmdb = require('./lmdb')

const options = { separateFlushed: true }

function makePeer (name, more) {
  const peer = lmdb.makePeer(name, { ...options, ...more })
  const open = (directory, kind) => {
    const store = peer.open(directory, kind)
    return { ...store, set: (key, value) => store.db.put(key, value).flushed }
  }
  return { ...peer, open }
}

module.exports = { ...makePeer('lmdb, put + flushed', {}), makePeer }
