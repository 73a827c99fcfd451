'use strict'

// The advisory turn of writers that keep losing, for those that must not block their thread. They
// stand in a line; the first one asks for the turn now and then, as other processes do.

const native = require('./native')

const POLL_MS = 1
const WAIT_MS = 1000
// For so long one turn serves one after the other in the line. Then other processes get a chance.
const KEEP_MS = 10

class Line {
  #store
  #waiting = []
  #turn
  #takenAt = 0
  /** Since when another process has the turn whenever it is asked for. */
  #failingSince
  #isUsed = false
  #isPolling = false

  constructor (store) {
    this.#store = store
  }

  /** Resolves with whether the caller has the turn, which it has to pass on. False: the time is
   *  over; or it was over for those before, because whoever has the turn may be stopped. */
  take () {
    return new Promise((resolve) => {
      const waiter = { resolve }
      waiter.timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1)
        resolve(false)
      }, WAIT_MS)
      this.#waiting.push(waiter)
      this.#serve()
    })
  }

  pass () {
    this.#isUsed = false
    if (this.#waiting.length > 0 && performance.now() - this.#takenAt < KEEP_MS) {
      this.#serve()
      return
    }
    native.endTurn(this.#turn)
    this.#turn = undefined
    this.#poll()
  }

  #serve () {
    if (this.#isUsed || this.#isPolling || this.#waiting.length === 0) return
    if (this.#turn !== undefined || this.#try()) {
      this.#isUsed = true
      this.#answer(true)
    } else if (performance.now() - this.#failingSince < WAIT_MS) {
      this.#poll()
    } else {
      while (this.#waiting.length > 0) this.#answer(false)
    }
  }

  #try () {
    try {
      this.#turn = native.tryTurn(this.#store)
    } catch {
      // What went wrong is met by the next attempt, too.
      this.#failingSince = 0
      return false
    }
    this.#takenAt = performance.now()
    this.#failingSince = this.#turn === undefined ? this.#failingSince ?? this.#takenAt : undefined
    return this.#turn !== undefined
  }

  #answer (hasTurn) {
    const { resolve, timer } = this.#waiting.shift()
    clearTimeout(timer)
    resolve(hasTurn)
  }

  #poll () {
    if (this.#waiting.length === 0) return
    this.#isPolling = true
    setTimeout(() => {
      this.#isPolling = false
      this.#serve()
    }, POLL_MS)
  }
}

/** The line of each native store. */
const lines = new WeakMap()

/** The line for the turn of a store. */
function lineFor (store) {
  let line = lines.get(store)
  if (line === undefined) {
    line = new Line(store)
    lines.set(store, line)
  }
  return line
}

module.exports = { lineFor }
