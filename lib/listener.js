'use strict'

// What native threads leave for this one. They call one function, once for all that was left.

const native = require('./native')

/** What takes what was left; none of them throws. */
const takers = []
let holds = 0

function onReady () {
  for (const take of takers) take()
}

/** Keeps the process alive until as many calls of `release`. */
function hold () {
  if (holds++ === 0) native.holdProcess(true)
}

function release () {
  if (--holds === 0) native.holdProcess(false)
}

// One for each addon, however often this module is loaded (see output.js).
if (native.listener === undefined) {
  native.listen(onReady)
  native.listener = { takers, hold, release }
}

module.exports = native.listener
