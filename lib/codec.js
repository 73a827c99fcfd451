'use strict'

// Values as the store keeps them: MessagePack, described in docs/format.md.
//
// msgpackr is not used although it is as fast: its extension table is one per process, so another
// user of it could change what is stored here; it has no form for ill-formed strings or a property
// "__proto__"; and it needs an install script to be fast.

const { encode } = require('./encode')
const { decode, decodeMany, decodeFramed } = require('./decode')

module.exports = { encode, decode, decodeMany, decodeFramed }
