'use strict'

// The product with `durability: 'relaxed'`, on the disk within a second.

const { makeRelaxed } = require('./commonhold-relaxed')

module.exports = makeRelaxed('commonhold, relaxed, 1 s', { flushInterval: 1000 })
