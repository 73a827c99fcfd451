'use strict'

// The face of a queue. Every step of a task is one native call, and one commit.

const { checkSignal } = require('./abort')
const native = require('./native')
const { Consumer } = require('./consume')
const { drained } = require('./drained')
const { typeError } = require('./errors')
const { define } = require('./listing')
const { checkInteger, checkLease, checkName, checkOptions, checkTaskId } = require('./options')
const { drain } = require('./output')
const { checkItems, checkPush, packTasks } = require('./push')
const { Task } = require('./task')

const DEFAULT_LEASE_MS = 30_000
const DEFAULT_ATTEMPTS = 5
const MAX_ATTEMPTS = 1_000_000
const STATUSES = ['pending', 'delayed', 'claimed', 'completed', 'dead']

class Queue {
  #store
  #native
  #lease

  /** For DataStore.useQueue only. */
  constructor (store, name, options) {
    const { lease, maxAttempts } = checkOptions(options, ['lease', 'maxAttempts'], 'useQueue')
    this.#lease = checkLease(lease, 'lease') ?? DEFAULT_LEASE_MS
    const attempts = checkInteger(maxAttempts, 'maxAttempts', 1, MAX_ATTEMPTS) ?? DEFAULT_ATTEMPTS
    this.#store = store
    this.#native = native.queue(store, checkName(name, 'queue'), this.#lease, attempts)
    Object.defineProperty(this, 'name', { value: name, enumerable: true })
  }

  // -------------------------------------------------------------- tasks in

  push (item, options) {
    const { id, delay } = checkPush(options)
    this.#push([[id, item]], delay, () => 'item')
    return id
  }

  pushMany (items, options) {
    const tasks = checkItems(items, options)
    if (tasks.length > 0) this.#push(tasks, 0, (position) => `item ${position}`)
    return tasks.map(([id]) => id)
  }

  #push (tasks, delay, nameOf) {
    packTasks(tasks, nameOf, (packed, bytes) =>
      native.pushTasks(this.#native, packed, bytes, delay))
  }

  // -------------------------------------------------------------- tasks out

  claim () {
    const scan = native.claimTask(this.#native)
    return scan === undefined ? undefined : Task.claimed(this.#native, this.#lease, scan)
  }

  consume (options) {
    return Queue.consume(this, () => this.claim(), options)
  }

  async drained (options) {
    const { signal } = checkOptions(options, ['signal'], 'drained')
    checkSignal(signal)
    const isDrained = () => {
      const { pending, delayed, claimed } = this.stats()
      return pending + delayed + claimed === 0
    }
    await drained(this.#source(), isDrained, signal)
  }

  /** What those who wait for the queue need of it. */
  #source () {
    return {
      readyIn: () => native.readyIn(this.#native),
      subscribe: () => native.subscribeQueue(this.#store, this.name)
    }
  }

  /** The tasks of a queue that `claim` gives. */
  static consume (queue, claim, options) {
    const { signal } = checkOptions(options, ['signal'], 'consume')
    return new Consumer({ claim, ...queue.#source() }, checkSignal(signal))
  }

  /** What native calls of a queue take. */
  static native (queue) {
    return queue.#native
  }

  static lease (queue) {
    return queue.#lease
  }

  retryDead () {
    return native.retryDead(this.#native)
  }

  clear () {
    return native.clearQueue(this.#native)
  }

  // -------------------------------------------------------------- reads

  get (id) {
    let state
    drain(native.getTask(this.#native, checkTaskId(id)), true, ([id], frames) => {
      state = taskState(id, ...frames)
    })
    return state
  }

  list (options) {
    const { status, limit } = checkOptions(options, ['status', 'limit'], 'list')
    if (status !== undefined && !STATUSES.includes(status)) {
      throw typeError('ERR_INVALID_OPTION', `status is one of ${STATUSES.join(', ')}`)
    }
    const most = checkInteger(limit, 'limit', 0, Number.MAX_SAFE_INTEGER) ?? -1
    const states = []
    drain(native.listTasks(this.#native, status, most), true, (ids, frames) => {
      ids.forEach((id, n) => states.push(taskState(id, ...frames.slice(3 * n, 3 * n + 3))))
    })
    return states
  }

  results () {
    const results = {}
    drain(native.listResults(this.#native), true, (ids, frames) => {
      ids.forEach((id, n) => {
        // An own property, also where the id is "__proto__".
        define(results, id, frames[2 * n] ? frames[2 * n + 1] : undefined)
      })
    })
    return results
  }

  stats () {
    return JSON.parse(native.queueStats(this.#native))
  }
}

function taskState (id, fields, item, result) {
  const [status, attempt, claimedBy, leaseExpiresAt, error, hasResult] = fields
  const state = { id, item, status, attempt }
  if (claimedBy !== null) {
    state.claimedBy = claimedBy
    state.leaseExpiresAt = new Date(leaseExpiresAt)
  }
  if (hasResult) state.result = result
  if (error !== null) state.error = error
  return state
}

module.exports = { Queue }
