'use strict'

// Watching: an async iterator over the changes that the native watcher reads from the history.
// Nothing is buffered here but what one read has given: a slow loop reads later, and then newer.

const native = require('./native')
const { checkSignal, onAbort } = require('./abort')
const { checkInteger } = require('./options')
const { readChanges } = require('./output')
const { waitFor, stopWaiting } = require('./signals')

const TYPES = ['reset', 'set', 'delete', 'expire', 'clear']
const SET = TYPES.indexOf('set')
const CLEAR = TYPES.indexOf('clear')

class Watcher {
  #native
  #id
  /** Of next() calls that have no result yet: { resolve, reject }. */
  #pending = []
  /** Changes that were read, the next one last. */
  #ready = []
  #isDone = false
  /** Whether this turn of the event loop has read already. */
  #hasRead = false
  #forgetSignal = () => {}

  /** For `watch` below only. */
  constructor (handle, signal) {
    this.#native = handle
    this.#id = native.watcherId(handle)
    this.#forgetSignal = onAbort(signal, () => this.#end())
  }

  [Symbol.asyncIterator] () {
    return this
  }

  next () {
    return new Promise((resolve, reject) => {
      this.#pending.push({ resolve, reject })
      this.#serve()
    })
  }

  async return (value) {
    this.#end()
    return { value, done: true }
  }

  /** Gives each next() call a change, as far as there are any, and waits for more. */
  #serve () {
    while (this.#pending.length > 0) {
      if (this.#isDone) {
        this.#pending.shift().resolve({ value: undefined, done: true })
      } else if (this.#ready.length > 0) {
        this.#pending.shift().resolve({ value: this.#ready.pop(), done: false })
      } else if (this.#hasRead) {
        // A long history must not keep timers and other events waiting: the rest comes next turn,
        // when #hasRead is false again.
        return
      } else if (!this.#read()) {
        return
      }
    }
  }

  /** Reads what there is. Returns false if that is nothing: then #serve is called again. */
  #read () {
    try {
      this.#ready = toChanges(readChanges(this.#native)).reverse()
    } catch (error) {
      // A closed store ends the loop as `break` would; a loop in the background is no crash. What
      // else fails ends it too, because nobody calls return() on an iterator that threw.
      if (error.code !== 'ERR_CLOSED') this.#pending.shift().reject(error)
      this.#end()
      return true
    }
    if (this.#ready.length > 0) {
      this.#hasRead = true
      setImmediate(() => {
        this.#hasRead = false
        this.#serve()
      })
      return true
    }
    waitFor(this.#id, () => this.#serve())
    return false
  }

  #end () {
    if (this.#isDone) return
    this.#isDone = true
    this.#ready = []
    stopWaiting(this.#id)
    this.#forgetSignal()
    native.unwatch(this.#native)
    this.#serve()
  }
}

/** Changes from fields and values. */
function toChanges (items) {
  const changes = []
  for (let index = 0; index < items.length; index++) {
    const [kind, namespace, key, version, last] = items[index]
    const type = TYPES[kind]
    if (kind === SET) {
      changes.push({ type, namespace, key, version, last, value: items[++index] })
    } else if (kind === CLEAR) {
      changes.push({ type, namespace, ...(key === '' ? {} : { prefix: key }), version, last })
    } else if (namespace === '') {
      changes.push({ type, version, last })
    } else {
      changes.push({ type, namespace, key, version, last })
    }
  }
  return changes
}

/** Watches one key of a namespace, or the keys or namespaces that begin with a prefix. */
function watch (store, namespace, { key, prefix, since, signal }) {
  checkInteger(since, 'since', 0, Number.MAX_SAFE_INTEGER)
  checkSignal(signal)
  const watcher = new Watcher(native.watch(store, namespace, key, prefix, since ?? -1), signal)
  if (signal?.aborted) watcher.return()
  return watcher
}

module.exports = { watch }
