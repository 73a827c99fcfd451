'use strict'

// An older build of the product, for the row `history`: the package in the directory that was given
// as --baseline.

const path = require('node:path')
const { makePeer } = require('./commonhold')

const directory = process.env.BENCH_BASELINE
const { version } = require(path.join(directory, 'package.json'))

module.exports = makePeer('commonhold, baseline', version, require(directory).openStore)
