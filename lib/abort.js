'use strict'

// AbortSignal, handled in JavaScript: also one that was aborted before.

const { typeError } = require('./errors')

/** The option `signal`, or undefined. */
function checkSignal (signal) {
  if (signal === undefined) return undefined
  if (typeof signal?.aborted !== 'boolean' || typeof signal.addEventListener !== 'function') {
    throw typeError('ERR_INVALID_OPTION', 'signal is an AbortSignal')
  }
  return signal
}

/** Calls `stop` when the signal aborts; returns a function that forgets it. */
function onAbort (signal, stop) {
  if (signal === undefined) return () => {}
  signal.addEventListener('abort', stop, { once: true })
  return () => signal.removeEventListener('abort', stop)
}

module.exports = { checkSignal, onAbort }
