'use strict'

// P2: what a get costs above the limit, a Map of the same bytes with the same decoder. Two other
// decoders show what the limit itself could be.

const { readCase } = require('./p1-get')

const LIMIT = [{ peers: ['map'], atMost: 1.35 }]

module.exports = {
  id: 'P2',
  title: 'get, as a share of the limit',
  peers: ['commonhold', 'map', 'map-msgpackr', 'map-json'],
  cases: ['small', 'doc', 'file', 'table', 'vector'].map(kind =>
    readCase(kind, kind === 'doc' ? LIMIT : []))
}
