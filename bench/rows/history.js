'use strict'

// What the history of changes costs a write: the product against a build from before it (README.md
// says how to make one). Run only when it is named, since nobody has that build at hand.

const [strictSet] = require('./p5-set').cases
const [intoEmpty, overExisting] = require('./p7-set-many').cases

const as = (name, contest) => ({ ...contest, name, targets: [] })

module.exports = {
  id: 'history',
  title: 'what it costs a write',
  peers: ['commonhold', 'commonhold-baseline'],
  cases: [
    as('strict set', strictSet),
    as('setMany into an empty namespace', intoEmpty),
    as('setMany over existing documents', overExisting)
  ]
}
