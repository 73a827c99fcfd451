'use strict'

// Waiting for changes. The native part has one waiting thread per store; it leaves the ids of what
// has become ready for the thread that waits.

const native = require('./native')
const { takers, hold, release } = require('./listener')

/** What to call for each id that is waited for. */
const waiting = new Map()

function takeReady () {
  for (const id of native.takeReady()) {
    const wake = waiting.get(id)
    stopWaiting(id)
    wake?.()
  }
}

/** Calls `wake` once, when the id becomes ready. Until then the process is kept alive. `wake` does
 *  not throw. */
function waitFor (id, wake) {
  if (waiting.size === 0) hold()
  waiting.set(id, wake)
}

function stopWaiting (id) {
  if (waiting.delete(id) && waiting.size === 0) release()
}

/** Calls `onChange` after a commit that a subscription is interested in. */
class Signal {
  #subscription
  #id
  #onChange

  /** `subscription` is what `native.subscribeKey` or the like gave. `onChange` does not throw. */
  constructor (subscription, onChange) {
    this.#subscription = subscription
    this.#id = native.subscriptionId(subscription)
    this.#onChange = onChange
  }

  /** From now on the next commit calls `onChange`, once. What was committed before is seen by a
   *  read that comes after this call. */
  arm () {
    waitFor(this.#id, this.#onChange)
    native.arm(this.#subscription)
  }

  /** Idempotent. */
  close () {
    stopWaiting(this.#id)
    native.unsubscribe(this.#subscription)
  }
}

// One for each addon, however often this module is loaded (see output.js).
if (native.signals === undefined) {
  takers.push(takeReady)
  native.signals = { Signal, waitFor, stopWaiting }
}

module.exports = native.signals
