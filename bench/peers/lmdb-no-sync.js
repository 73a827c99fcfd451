'use strict'

// lmdb-js with `noSync`: its README says of it that a crash of the computer can corrupt the data,
// which a relaxed set never does. For information, as the least that a commit of LMDB takes.

const { makePeer } = require('./lmdb')

module.exports = makePeer('lmdb, noSync', { noSync: true })
