'use strict'

const { now } = require('./arrivals')

/** The jobs one worker of P14 has completed since it was last asked, and when the last one was. */
class Completions {
  #numbers = []
  #lastAt = 0

  add (number) {
    this.#numbers.push(number)
    this.#lastAt = now()
  }

  take () {
    return { numbers: this.#numbers.splice(0), lastAt: this.#lastAt }
  }
}

module.exports = { Completions }
