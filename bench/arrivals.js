'use strict'

// The clock that the processes of a row share, and what one of them received by it.

/** The sequence numbers that a receiver of P9 has received, with the time of each. */
class Arrivals {
  #list = []
  #awaited

  /** To be called first thing in the callback. */
  add (sequence, receivedAt) {
    this.#list.push([sequence, receivedAt])
    if (this.#awaited && sequence >= this.#awaited.sequence) this.#awaited.resolve()
  }

  /** Resolves with what has arrived since the last call once this sequence number is among it. */
  async takeUpTo (sequence) {
    const newest = this.#list.at(-1)?.[0] ?? -1
    if (newest < sequence) {
      await new Promise(resolve => { this.#awaited = { sequence, resolve } })
      this.#awaited = undefined
    }
    return this.#list.splice(0)
  }
}

/** Nanoseconds of the monotonic clock, which is one for all processes of a machine. */
const now = () => Number(process.hrtime.bigint())

module.exports = { Arrivals, now }
