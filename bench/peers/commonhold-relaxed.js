'use strict'

// The product with `durability: 'relaxed'`: visible to every process when the call returns, on the
// disk within `flushInterval`, by default 100 ms.

const { openStore } = require('../..')
const { version } = require('../../package.json')
const { Missing } = require('../missing')
const { makePeer } = require('./commonhold')

function openRelaxed (options) {
  try {
    return openStore({ durability: 'relaxed', ...options })
  } catch (error) {
    if (error.code !== 'ERR_INVALID_OPTION') throw error
    throw new Missing(error.message)
  }
}

const makeRelaxed = (name, options) => makePeer(name, version, openRelaxed, options)

module.exports = { ...makeRelaxed('commonhold, relaxed'), makeRelaxed }
