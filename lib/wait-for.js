'use strict'

// Waiting for a key. Reads when it is told of a change, never by a timer.

const { isPromise } = require('node:util').types
const native = require('./native')
const { checkSignal, onAbort } = require('./abort')
const { DataStoreError, typeError } = require('./errors')
const { checkFunction, checkInteger, checkKey, checkOptions } = require('./options')
const { readValue } = require('./output')
const { Signal } = require('./signals')

const OPTIONS = ['predicate', 'signal', 'timeout']
// What setTimeout can wait for: 24.8 days.
const MAX_TIMEOUT_MS = 2 ** 31 - 1
const ABSENT = Symbol('absent')

/** Resolves with the value of a key once there is one and it satisfies the predicate. */
async function waitFor (store, name, namespace, key, options) {
  checkKey(key)
  const checked = checkOptions(options, OPTIONS, 'waitFor')
  const timeoutMs = checkInteger(checked.timeout, 'timeout (milliseconds)', 0, MAX_TIMEOUT_MS)
  const signal = checkSignal(checked.signal)
  const { predicate = () => true } = checked
  checkFunction(predicate, 'predicate')
  if (signal?.aborted) throw signal.reason

  const look = () => {
    const value = readValue(namespace, key, ABSENT)
    return value === ABSENT || !holds(predicate(value)) ? ABSENT : value
  }
  const found = look()
  // The predicate may have aborted it.
  if (signal?.aborted) throw signal.reason
  if (found !== ABSENT) return found
  if (timeoutMs === 0) throw timedOut(name, key, timeoutMs)
  return waitUntil(look, { store, name, key, timeoutMs, signal })
}

function waitUntil (look, { store, name, key, timeoutMs, signal }) {
  return new Promise((resolve, reject) => {
    let timer
    const end = (settle, result) => {
      change.close()
      clearTimeout(timer)
      forgetSignal()
      settle(result)
    }
    const lookAgain = () => {
      try {
        // Armed first, so that nothing that comes after the look is missed.
        change.arm()
        const value = look()
        if (value !== ABSENT) end(resolve, value)
      } catch (error) {
        end(reject, error)
      }
    }
    const timeOut = () => {
      // A busy thread's timers come before what it has not been told of yet.
      lookAgain()
      end(reject, timedOut(name, key, timeoutMs))
    }
    const change = new Signal(native.subscribeKey(store, name, key), lookAgain)
    const forgetSignal = onAbort(signal, () => end(reject, signal.reason))
    if (timeoutMs !== undefined) timer = setTimeout(timeOut, timeoutMs)
    lookAgain()
  })
}

/** What a predicate says. A promise would always count as true. */
function holds (answer) {
  if (!isPromise(answer)) return answer
  throw typeError('ERR_INVALID_OPTION',
    'the predicate of waitFor returned a promise: it must answer at once')
}

function timedOut (namespace, key, timeoutMs) {
  return new DataStoreError('ERR_TIMEOUT',
    `${JSON.stringify(key)} in ${JSON.stringify(namespace)} was not there, or not as required, ` +
    `within ${timeoutMs} ms`)
}

module.exports = { waitFor }
