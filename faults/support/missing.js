'use strict'

// What the addon under test cannot do.

const { openStore } = require('../..')

/** Why relaxed durability cannot be tested. */
function missingRelaxed () {
  try {
    openStore({ path: '', durability: 'relaxed' })
  } catch ({ message }) {
    return /durability/.test(message) ? 'there is no relaxed durability yet' : undefined
  }
}

module.exports = { missingRelaxed }
