'use strict'

// Waits until a queue has nothing left to do.

const { onAbort } = require('./abort')
const { Signal } = require('./signals')

/** Resolves when `isDrained()`; rejects with the reason of an aborted signal. */
function drained (source, isDrained, abortSignal) {
  return new Promise((resolve, reject) => {
    if (abortSignal?.aborted) return reject(abortSignal.reason)
    let wakeUp
    const settle = (done, value) => {
      wakeUp?.close()
      forgetSignal()
      done(value)
    }
    const forgetSignal = onAbort(abortSignal, () => settle(reject, abortSignal.reason))
    const look = () => {
      try {
        if (isDrained()) return settle(resolve)
        // Armed before the next look: what changes from here on calls `look` again.
        wakeUp ??= new Signal(source.subscribe(), look)
        wakeUp.arm()
        if (isDrained()) settle(resolve)
      } catch (error) {
        settle(reject, error)
      }
    }
    look()
  })
}

module.exports = { drained }
