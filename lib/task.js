'use strict'

// A task that this worker has claimed. It is the worker's as long as its attempt is the last one
// and the queue was not cleared.

const native = require('./native')
const { encode } = require('./codec')
const { typeError } = require('./errors')
const { checkDelay, checkLease, checkOptions } = require('./options')
const { drain } = require('./output')

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
    native.renewTask(...Task.token(this), checkRenewal(ms) ?? this.#lease)
  }

  complete (result, options) {
    native.completeTask(...Task.token(this), checkResult(result, options))
    Task.settle(this)
  }

  fail (error, options) {
    native.failTask(...Task.token(this), ...checkFailure(error, options))
    Task.settle(this)
  }

  /** The task that a native claim has found, as an instance of this class. */
  static claimed (queue, lease, scan) {
    let task
    drain(scan, true, ([id], [created, attempt, item]) => {
      task = new this(queue, lease, created, { id, item, attempt })
    })
    return task
  }

  /** How native calls name a task that is this worker's. */
  static token (task) {
    return [task.#queue, task.id, task.#created, task.attempt]
  }

  static lease (task) {
    return task.#lease
  }

  /** It is finished, or another worker's. */
  static settle (task) {
    task.#settled = true
    Task.release(task)
  }

  /** Renews the lease natively from now on, until the task is settled or released. */
  static hold (task) {
    task.#hold = native.holdTask(...Task.token(task))
  }

  static release (task) {
    if (task.#hold !== undefined) native.releaseTask(task.#hold)
    task.#hold = undefined
  }

  static isSettled (task) {
    return task.#settled
  }
}

/** For how long a task is renewed, or undefined. */
function checkRenewal (ms) {
  return checkLease(ms, 'renew')
}

/** The bytes of a result, or undefined for none. */
function checkResult (result, options) {
  if (options !== undefined) throw typeError('ERR_INVALID_OPTION', 'complete takes no options')
  return result === undefined ? undefined : encode(result)
}

/** Why a task failed, and when it is tried again. */
function checkFailure (error, options) {
  const { retryIn } = checkOptions(options, ['retryIn'], 'fail')
  const delay = checkDelay(retryIn, 'retryIn') ?? 0
  return [messageOf(error), delay]
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

module.exports = { Task, checkFailure, checkRenewal, checkResult }
