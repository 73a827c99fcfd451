'use strict'

// lmdb-js with shared structures, which its README (section "Shared Structures") recommends for
// objects of similar structure: its fastest configuration, at the price of a hidden table.

const { makePeer } = require('./lmdb')

module.exports = makePeer('lmdb-shared', { sharedStructuresKey: Symbol.for('structures') })
