'use strict'

// The Map of the limit with msgpackr as its README advises for plain, portable MessagePack: an
// instance of one's own, `useRecords: false`, `moreTypes` for typed arrays.

const { makePeer } = require('./map')

module.exports = makePeer('Map, msgpackr', () => {
  const { Packr } = require('msgpackr')
  const packr = new Packr({ useRecords: false, moreTypes: true })
  return { encode: value => Buffer.from(packr.pack(value)), decode: bytes => packr.unpack(bytes) }
})
