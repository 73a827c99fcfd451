'use strict'

// A task that this worker has claimed. It is the worker's as long as its attempt is the last one
// and the queue was not cleared.

const native = require('./native')
const { encode } = require('./codec')
const { typeError } = require('./errors')
const { checkDelay, checkLease, checkOptions } = require('./options')

class Task {
  #queue
  #lease
  /** The version of the commit that pushed it: another task of the same id has another one. */
  #created
  #hold
  #settled = false

  /** For queues only. */
  constructor (queue, lease, created, fields) {
    this.#queue = queue
    this.#lease = lease
    this.#created = created
    for (const [name, value] of Object.entries(fields)) {
      Object.defineProperty(this, name, { value, enumerable: true })
    }
  }

  renew (ms) {
    const lease = checkLease(ms, 'renew') ?? this.#lease
    native.renewTask(this.#queue, this.id, this.#created, this.attempt, lease)
  }

  complete (result, options) {
    if (options !== undefined) throw typeError('ERR_INVALID_OPTION', 'complete takes no options')
    const bytes = result === undefined ? undefined : encode(result)
    native.completeTask(this.#queue, this.id, this.#created, this.attempt, bytes)
    this.#settle()
  }

  fail (error, options) {
    const { retryIn } = checkOptions(options, ['retryIn'], 'fail')
    const delay = checkDelay(retryIn, 'retryIn') ?? 0
    native.failTask(this.#queue, this.id, this.#created, this.attempt, messageOf(error), delay)
    this.#settle()
  }

  #settle () {
    this.#settled = true
    Task.release(this)
  }

  /** Renews the lease natively from now on, until the task is settled or released. */
  static hold (task) {
    task.#hold = native.holdTask(task.#queue, task.id, task.#created, task.attempt)
  }

  static release (task) {
    if (task.#hold !== undefined) native.releaseTask(task.#hold)
    task.#hold = undefined
  }

  static isSettled (task) {
    return task.#settled
  }
}

/** What a task remembers of an error: its message. */
function messageOf (error) {
  try {
    const message = typeof error?.message === 'string' ? error.message : String(error)
    return message.toWellFormed()
  } catch {
    return 'an error that cannot be shown as a string'
  }
}

module.exports = { Task }
