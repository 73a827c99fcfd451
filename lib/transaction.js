'use strict'

// The face of transactions. A view has the methods of a namespace; what it reads and writes stays
// in the native transaction until the commit, which is one native call.

const { isAsyncFunction, isGeneratorFunction, isPromise } = require('node:util').types
const native = require('./native')
const { encode } = require('./codec')
const { DataStoreError, typeError } = require('./errors')
const { collect, collectKeys, makeEntry } = require('./listing')
const {
  ANY_VERSION, NO_TTL, checkFunction, checkIncrement, checkKey, checkKeys, checkName, checkOptions,
  checkRange, checkSetOptions, checkString, checkVersion, refuseOptions
} = require('./options')
const { readTransactionEntry, readTransactionValue } = require('./output')
const { packEntries } = require('./pack')
const { LOST, MAX_RACES, race } = require('./races')

class Transaction {
  #native

  constructor (transaction) {
    this.#native = transaction
  }

  useNamespace (name, options) {
    refuseOptions(options, "a transaction's useNamespace", ': check values before they are set')
    const view = native.transactionNamespace(this.#native, checkName(name))
    return new TransactionNamespace(view, name)
  }
}

class TransactionNamespace {
  #native

  constructor (view, name) {
    this.#native = view
    Object.defineProperty(this, 'name', { value: name, enumerable: true })
  }

  get (key, fallback) {
    return readTransactionValue(this.#native, key, fallback)
  }

  getEntry (key) {
    return makeEntry(key, readTransactionEntry(this.#native, key))
  }

  has (key, options) {
    refuseOptions(options, 'has')
    return native.transactionHas(this.#native, key)
  }

  getMany (keys) {
    return collect(native.transactionReadMany(this.#native, checkKeys(keys)))
  }

  getAll (options) {
    return collect(native.transactionScan(this.#native, true, ...checkRange(options, 'getAll')))
  }

  listKeys (options) {
    const range = checkRange(options, 'listKeys')
    return collectKeys(native.transactionScan(this.#native, false, ...range))
  }

  count () {
    return native.transactionCount(this.#native)
  }

  set (key, value, options) {
    checkKey(key)
    const { ttlMs, json, version } = checkSetOptions(options, 'set', NO_TTL)
    native.transactionSet(this.#native, key, encode(value), ttlMs, json, version)
  }

  setMany (entries, options) {
    const { ttlMs, json } = checkSetOptions(options, 'setMany', NO_TTL)
    return packEntries(entries, (value) => value, 'setMany', (packed, bytes) =>
      native.transactionSetMany(this.#native, packed, bytes, ttlMs, json))
  }

  increment (key, by = 1, options) {
    checkIncrement(by)
    refuseOptions(options, 'increment', ': it keeps the ttl; set() gives another')
    return native.transactionIncrement(this.#native, key, by)
  }

  delete (key, options) {
    const checked = checkOptions(options, ['ifVersion'], 'delete')
    return native.transactionDelete(this.#native, key, checkVersion(checked) ?? ANY_VERSION)
  }

  deleteMany (keys, options) {
    refuseOptions(options, 'deleteMany')
    return native.transactionDeleteMany(this.#native, checkKeys(keys))
  }

  clear (options) {
    const { prefix } = checkOptions(options, ['prefix'], 'clear')
    return native.transactionClear(this.#native, checkString(prefix, 'prefix'))
  }
}

/** Runs `fn` in transactions of a native store until one commits. */
function runTransaction (store, fn) {
  checkFunction(fn, 'the argument of transaction')
  refuseUnusual(fn)
  return race(store, () => attempt(store, fn), endless)
}

function attempt (store, fn) {
  const transaction = native.beginTransaction(store)
  try {
    const result = run(transaction, fn)
    if (result === LOST) return LOST
    refuseThenable(result)
    return commit(transaction) ? result : LOST
  } finally {
    native.endTransaction(transaction)
  }
}

/** What `fn` returns. Whatever it made of reads that are out of date does not count. */
function run (transaction, fn) {
  try {
    const result = fn(new Transaction(transaction))
    return native.isOvertaken(transaction) && !isThenable(result) ? LOST : result
  } catch (error) {
    if (native.isOvertaken(transaction)) return LOST
    throw error
  }
}

/** Returns false if another writer was first. */
function commit (transaction) {
  try {
    native.commitTransaction(transaction)
    return true
  } catch (error) {
    if (error.code !== 'ERR_CONFLICT') throw error
    return false
  }
}

function refuseUnusual (fn) {
  if (isAsyncFunction(fn)) throw asynchronous('is async')
  refuseGenerator(fn)
}

function refuseGenerator (fn) {
  // Its body would not run before somebody asks for its first value.
  if (isGeneratorFunction(fn)) {
    throw typeError('ERR_INVALID_OPTION',
      'the function of a transaction is a plain function, not a generator')
  }
}

function isThenable (result) {
  return typeof result?.then === 'function'
}

function refuseThenable (result) {
  if (!isThenable(result)) return
  // Nobody will wait for it; it must not become an unhandled rejection. Anything but a promise is
  // left alone, because its then() may begin something.
  if (isPromise(result)) Promise.prototype.then.call(result, undefined, () => {})
  throw asynchronous('returned a promise')
}

function asynchronous (what) {
  return new DataStoreError('ERR_ASYNC_TRANSACTION',
    `the function of a transaction is synchronous, this one ${what}: await before the ` +
    'transaction, not inside, or use store.async.transaction(); nothing was written')
}

function endless () {
  return new DataStoreError('ERR_CONFLICT',
    `other writers changed what the transaction had read ${MAX_RACES} times in a row: read less ` +
    'in it (a listing depends on every key of its namespace), or make it shorter')
}

module.exports = { Transaction, endless, refuseGenerator, runTransaction }
