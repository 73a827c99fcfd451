'use strict'

// The face of a queue with promises. Reads and waiting are those of the synchronous one; steps are
// requests to the writer's thread.

const { startIteration } = require('./async-iteration')
const native = require('./native')
const { checkItems, checkPush, packTasks } = require('./push')
const { Queue } = require('./queue')
const { hasPending, request } = require('./requests')
const { Task, checkFailure, checkRenewal, checkResult } = require('./task')

class AsyncQueue {
  #handle
  #options
  #sync
  #native

  /** For AsyncDataStore.useQueue only. `handle` gives the native store, or throws. */
  constructor (handle, name, options) {
    this.#handle = handle
    this.#options = options
    Object.defineProperty(this, 'name', { value: name, enumerable: true })
  }

  /** Throws what `useQueue` of the store would: here, so that a promise is rejected. */
  #open () {
    const store = this.#handle()
    if (this.#sync === undefined) {
      const queue = new Queue(store, this.name, this.#options)
      this.#native = Queue.native(queue)
      this.#sync = queue
    }
    return this.#sync
  }

  // -------------------------------------------------------------- tasks in

  async push (item, options) {
    const { id, delay } = checkPush(options)
    await this.#push([[id, item]], delay, () => 'item')
    return id
  }

  async pushMany (items, options) {
    const tasks = checkItems(items, options)
    this.#open()
    if (tasks.length > 0) await this.#push(tasks, 0, (position) => `item ${position}`)
    return tasks.map(([id]) => id)
  }

  #push (tasks, delay, nameOf) {
    this.#open()
    return request((id) => packTasks(tasks, nameOf, (packed, bytes) =>
      native.requestPush(this.#native, packed, bytes, delay, id)))
  }

  // -------------------------------------------------------------- tasks out

  async claim () {
    const lease = Queue.lease(this.#open())
    let found
    do {
      // A look would not see what was pushed and is not committed yet; a claim comes after it.
      const looks = !hasPending()
      found = await request((id) => native.requestClaim(this.#native, looks, id))
    } while (found === true)
    return found ? AsyncTask.claimed(this.#native, lease, found) : undefined
  }

  consume (options) {
    return startIteration(() => Queue.consume(this.#open(), () => this.claim(), options))
  }

  async drained (options) {
    return this.#open().drained(options)
  }

  async retryDead () {
    this.#open()
    return request((id) => native.requestRetryDead(this.#native, id))
  }

  async clear () {
    this.#open()
    return request((id) => native.requestClearQueue(this.#native, id))
  }

  // -------------------------------------------------------------- reads

  async get (id) {
    return this.#open().get(id)
  }

  async list (options) {
    return this.#open().list(options)
  }

  async results () {
    return this.#open().results()
  }

  async stats () {
    return this.#open().stats()
  }
}

class AsyncTask extends Task {
  async renew (ms) {
    const lease = checkRenewal(ms) ?? Task.lease(this)
    await request((id) => native.requestRenew(...Task.token(this), lease, id))
  }

  async complete (result, options) {
    const bytes = checkResult(result, options)
    await request((id) => native.requestComplete(...Task.token(this), bytes, id))
    Task.settle(this)
  }

  async fail (error, options) {
    const failure = checkFailure(error, options)
    await request((id) => native.requestFail(...Task.token(this), ...failure, id))
    Task.settle(this)
  }
}

module.exports = { AsyncQueue }
