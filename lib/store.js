'use strict'

// The face of a store.

const path = require('node:path')
const native = require('./native')
const { AsyncDataStore } = require('./async-store')
const { DataStoreError, makeError, retryableCodes, typeError } = require('./errors')
const { Namespace } = require('./namespace')
const {
  checkOptions, checkInteger, checkBoolean, checkString, checkName, refuseOptions
} = require('./options')
const { Queue } = require('./queue')
const { request } = require('./requests')
const { runTransaction } = require('./transaction')
const { watch } = require('./watch')

native.setErrorMaker(makeError)
for (const code of native.retryableCodes().split(' ')) retryableCodes.add(code)

const OPEN_OPTIONS = [
  'path', 'agent', 'durability', 'flushInterval', 'maxSize', 'busyTimeout', 'readOnly', 'history'
]
const HISTORY_OPTIONS = ['maxBytes', 'maxAge']
const MIN_HISTORY_BYTES = 64 * 1024
const MIN_SIZE = 1024 * 1024
const MAX_FLUSH_INTERVAL = 60_000
const DEFAULT_NAMESPACE = 'default'

class DataStore {
  #options
  #isDefault
  #native
  #closed = false
  #default
  #async

  /** For openStore and the default store only. */
  constructor (options, isDefault) {
    this.#options = checkOpenOptions(options)
    this.#isDefault = isDefault
    if (!isDefault) this.#handle()
  }

  /** Opens on first use. */
  #handle () {
    if (this.#closed) throw this.#closedError()
    this.#native ??= native.open(...this.#options)
    return this.#native
  }

  get path () {
    return native.path(this.#native ?? this.#handle())
  }

  get agent () {
    return native.agent(this.#native ?? this.#handle())
  }

  useNamespace (name, options) {
    return new Namespace(this.#handle(), checkName(name), options)
  }

  useQueue (name, options) {
    return new Queue(this.#handle(), name, options)
  }

  listNamespaces (options) {
    const { prefix } = checkOptions(options, ['prefix'], 'listNamespaces')
    const names = native.listNamespaces(this.#handle(), checkString(prefix, 'prefix'))
    return names === '' ? [] : names.split('\0')
  }

  #defaultNamespace () {
    if (this.#closed) throw this.#closedError()
    this.#default ??= this.useNamespace(DEFAULT_NAMESPACE)
    return this.#default
  }

  get (key, fallback) {
    return this.#defaultNamespace().get(key, fallback)
  }

  set (key, value, options) {
    return this.#defaultNamespace().set(key, value, options)
  }

  has (key, options) {
    return this.#defaultNamespace().has(key, options)
  }

  delete (key, options) {
    return this.#defaultNamespace().delete(key, options)
  }

  watch (options) {
    const checked = checkOptions(options, ['prefix', 'since', 'signal'], 'watch')
    checkString(checked.prefix, 'prefix')
    return watch(this.#handle(), undefined, checked)
  }

  transaction (fn, options) {
    refuseOptions(options, 'transaction')
    return runTransaction(this.#handle(), fn)
  }

  flush () {
    native.flush(this.#handle())
  }

  async backup (directory, options) {
    const { compact } = checkOptions(options, ['compact'], 'backup')
    if (typeof directory !== 'string' || directory === '') {
      throw typeError('ERR_INVALID_OPTION', 'backup takes the path of a directory')
    }
    const isCompact = checkBoolean(compact, 'compact') ?? false
    await request((id) =>
      native.requestBackup(this.#handle(), path.resolve(directory), isCompact, id))
  }

  stats () {
    const { checkpoint, recovery, ...stats } = JSON.parse(native.stats(this.#handle()))
    if (checkpoint !== null) stats.checkpoint = { ...checkpoint, at: new Date(checkpoint.at) }
    if (recovery !== null) {
      const [since, at] = [new Date(recovery.since), new Date(recovery.at)]
      stats.recovery = { ...recovery, since, at }
    }
    return stats
  }

  get async () {
    this.#async ??= new AsyncDataStore(this, () => this.#handle(), () => this.#leave())
    return this.#async
  }

  close () {
    const open = this.#leave()
    if (open !== undefined) native.close(open)
  }

  /** Lets no more calls in; returns the native store if it has to be closed. */
  #leave () {
    const open = this.#closed ? undefined : this.#native
    this.#closed = true
    return open
  }

  [Symbol.dispose] () {
    this.close()
  }

  #closedError () {
    const remedy = this.#isDefault
      ? 'the default store cannot be opened again in this process: use a store of openStore()'
      : 'open it again with openStore()'
    return new DataStoreError('ERR_CLOSED', `the store is closed: ${remedy}`)
  }
}

/** The arguments of the native `open`. */
function checkOpenOptions (options) {
  if (typeof options === 'string') options = { path: options }
  const checked = checkOptions(options, OPEN_OPTIONS, 'openStore')
  const { path: directory, agent, maxSize, busyTimeout, readOnly, history } = checked
  const { maxBytes, maxAge } = checkOptions(history, HISTORY_OPTIONS, "openStore's history")
  if (checkString(directory, 'path') === '' || directory?.includes('\0')) {
    throw new DataStoreError('ERR_INVALID_OPTION', 'path is empty or contains U+0000')
  }
  return [
    directory,
    checkString(agent, 'agent') || defaultAgent(),
    checkInteger(maxSize, 'maxSize (bytes)', MIN_SIZE, Number.MAX_SAFE_INTEGER) ?? -1,
    checkBoolean(readOnly, 'readOnly') ?? false,
    checkInteger(maxBytes, 'history.maxBytes', MIN_HISTORY_BYTES, Number.MAX_SAFE_INTEGER) ?? -1,
    checkInteger(maxAge, 'history.maxAge (milliseconds)', 1, Number.MAX_SAFE_INTEGER) ?? -1,
    checkInteger(busyTimeout, 'busyTimeout (milliseconds)', 0, Number.MAX_SAFE_INTEGER) ?? -1,
    ...checkDurability(checked)
  ]
}

/** Whether relaxed, and the interval between flushes or -1. */
function checkDurability ({ durability, flushInterval }) {
  if (durability !== undefined && durability !== 'strict' && durability !== 'relaxed') {
    throw typeError('ERR_INVALID_OPTION', "durability is 'strict' or 'relaxed'")
  }
  const name = 'flushInterval (milliseconds)'
  const interval = checkInteger(flushInterval, name, 1, MAX_FLUSH_INTERVAL) ?? -1
  return [durability === 'relaxed', interval]
}

/** $COMMONHOLD_AGENT, else the name of the script. */
function defaultAgent () {
  const script = process.argv[1]
  const name = process.env.COMMONHOLD_AGENT ||
    (script === undefined ? 'node' : path.basename(script, path.extname(script)))
  return name.toWellFormed()
}

module.exports = { DataStore }
