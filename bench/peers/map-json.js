'use strict'

// The Map of the limit with JSON text in it: what a program without a store would do.

const { makePeer } = require('./map')

module.exports = makePeer('Map, JSON.parse', () => ({ encode: JSON.stringify, decode: JSON.parse }))
