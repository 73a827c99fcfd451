'use strict'

// The face of transactions with promises. What they read and write stays in the native transaction,
// so everything but the commit is done at once.

const { AsyncView } = require('./async-view')
const native = require('./native')
const { checkFunction } = require('./options')
const { LOST, raceLater } = require('./races')
const { request } = require('./requests')
const { Transaction, endless, refuseGenerator } = require('./transaction')

class AsyncTransaction {
  #transaction

  constructor (transaction) {
    this.#transaction = transaction
  }

  useNamespace (name, options) {
    return new AsyncTransactionNamespace(this.#transaction, name, options)
  }
}

class AsyncTransactionNamespace extends AsyncView {
  #transaction
  #options
  #sync

  constructor (transaction, name, options) {
    super(name, () => this.#open())
    this.#transaction = transaction
    this.#options = options
  }

  /** Throws what `useNamespace` of a transaction would: here, so that a promise is rejected. */
  #open () {
    this.#sync ??= this.#transaction.useNamespace(this.name, this.#options)
    return this.#sync
  }

  async set (key, value, options) {
    return this.#open().set(key, value, options)
  }

  async setMany (entries, options) {
    return this.#open().setMany(entries, options)
  }

  async increment (key, by, options) {
    return this.#open().increment(key, by, options)
  }

  async delete (key, options) {
    return this.#open().delete(key, options)
  }

  async deleteMany (keys, options) {
    return this.#open().deleteMany(keys, options)
  }

  async clear (options) {
    return this.#open().clear(options)
  }
}

/** Runs `fn` in transactions of a native store until one commits. `handle` gives the store, or
 *  throws. */
async function runAsyncTransaction (handle, fn) {
  checkFunction(fn, 'the argument of transaction')
  refuseGenerator(fn)
  return raceLater(handle(), () => attempt(handle(), fn), endless)
}

async function attempt (store, fn) {
  const transaction = native.beginSharedTransaction(store)
  try {
    const result = await run(transaction, fn)
    if (result === LOST) return LOST
    return await commit(transaction) ? result : LOST
  } finally {
    native.endTransaction(transaction)
  }
}

/** What `fn` resolves with. Whatever it made of reads that are out of date does not count. */
async function run (transaction, fn) {
  try {
    const result = await fn(new AsyncTransaction(new Transaction(transaction)))
    return native.isOvertaken(transaction) ? LOST : result
  } catch (error) {
    if (native.isOvertaken(transaction)) return LOST
    throw error
  }
}

/** Resolves with false if another writer was first. */
async function commit (transaction) {
  try {
    await request((id) => native.requestCommit(transaction, id))
    return true
  } catch (error) {
    if (error.code !== 'ERR_CONFLICT') throw error
    return false
  }
}

module.exports = { runAsyncTransaction }
