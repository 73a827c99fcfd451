'use strict'

// The same with shared structures, its fastest configuration (see lmdb-shared.js).

const { makePeer } = require('./lmdb-flushed')

const structures = { sharedStructuresKey: Symbol.for('structures') }

module.exports = makePeer('lmdb, put + flushed, shared', structures)
