'use strict'

// Optimistic writers: run, commit if nobody was first, else run again.

const native = require('./native')
const { lineFor } = require('./turns')

/** What an attempt returns when another writer was first. */
const LOST = Symbol('lost')

// Lost races after which a writer asks for a turn, and how long it waits for one; later it only
// looks whether there is one, because whoever has it may be stopped.
const RACES_BEFORE_TURN = 3
const TURN_WAIT_MS = 1000

// Writers that lose in turn get through long before, so only one that always races with itself
// loses as often.
const MAX_RACES = 1000

/** Makes attempts until one is not lost, and returns what it returned; throws `endless()` in the
 *  end. Writers that keep losing line up, so that each gets through in its turn. */
function race (store, attempt, endless) {
  let turn
  try {
    for (let races = 1; ; races++) {
      const result = attempt()
      if (result !== LOST) return result
      if (races === MAX_RACES) throw endless()
      if (races >= RACES_BEFORE_TURN) {
        turn ??= native.takeTurn(store, races === RACES_BEFORE_TURN ? TURN_WAIT_MS : 0)
      }
    }
  } finally {
    if (turn !== undefined) native.endTurn(turn)
  }
}

/** As `race`, where an attempt gives a promise, and the thread must not be blocked. */
async function raceLater (store, attempt, endless) {
  const line = lineFor(store)
  let hasTurn = false
  try {
    for (let races = 1; ; races++) {
      const result = await attempt()
      if (result !== LOST) return result
      if (races === MAX_RACES) throw endless()
      if (races >= RACES_BEFORE_TURN && !hasTurn) hasTurn = await line.take()
    }
  } finally {
    if (hasTurn) line.pass()
  }
}

module.exports = { LOST, MAX_RACES, race, raceLater }
