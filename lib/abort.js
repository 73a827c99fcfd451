'use strict'

// AbortSignal, handled in JavaScript: also one that was aborted before.

const { typeError } = require('./errors')

/** The option `signal`, or undefined. */
function checkSignal (signal) {
  if (signal === undefined) return undefined
  if (typeof signal?.aborted !== 'boolean' || typeof signal.addEventListener !== 'function' ||
      typeof signal.removeEventListener !== 'function') {
    throw typeError('ERR_INVALID_OPTION', 'signal is an AbortSignal')
  }
  return signal
}

/** The listener on each signal that somebody heeds, with what it calls. One listener for all,
 *  because Node.js warns of a leak from the eleventh on. */
const listeners = new WeakMap()

/** Calls `stop`, which does not throw, when the signal aborts; returns a function that forgets
 *  it. */
function onAbort (signal, stop) {
  if (signal === undefined) return () => {}
  let listener = listeners.get(signal)
  if (listener === undefined) {
    const stops = new Set()
    listener = { stops, call: () => stops.forEach((stop) => stop()) }
    listeners.set(signal, listener)
    signal.addEventListener('abort', listener.call, { once: true })
  }
  const { stops } = listener
  stops.add(stop)
  return () => {
    stops.delete(stop)
    if (stops.size > 0 || listeners.get(signal) !== listener) return
    listeners.delete(signal)
    signal.removeEventListener('abort', listener.call)
  }
}

module.exports = { checkSignal, onAbort }
