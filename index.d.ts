/// <reference lib="esnext.disposable" />

// commonhold: one data store that all agent processes of a user share.
//
// Every method is synchronous unless it returns a promise, and every method throws a
// {@link DataStoreError}: ERR_CLOSED after `close()`, ERR_READ_ONLY for a write to a store that was
// opened with `readOnly`, ERR_BUSY for a write that another process keeps waiting, ERR_IO and ERR_CORRUPT when the disk or the store's bytes fail. The
// comments below name only what a member throws besides.
//
// Lengths are bytes of UTF-8, times are milliseconds, order is the order of bytes of UTF-8.

declare global {
  // Says nothing where it is declared, as it is by @types/node and by the library "dom"; elsewhere
  // it lets the declarations below compile.
  interface AbortSignal {}
}

// ------------------------------------------------------------------------------------- opening

/** How to open a store. Every property may be left out. */
export interface OpenOptions {
  /**
   * Directory of the store, made with mode 0700 when missing. Links that lead to one's own
   * directory are followed.
   *
   * Default: `$COMMONHOLD_PATH`, else the per-user data directory of the platform
   * (`$XDG_DATA_HOME/commonhold/store` or `~/.local/share/commonhold/store` on Linux). Never the
   * current directory.
   *
   * Errors: ERR_UNSAFE_PATH for a directory of another user, or one that a group or others may
   * write to; ERR_UNSUPPORTED_FILESYSTEM for a network filesystem.
   *
   * @example openStore({ path: '/home/me/agents/store' })
   */
  path?: string
  /**
   * Name stamped on what this process writes (`createdBy`, `updatedBy`), cut at 128 bytes.
   *
   * Default: `$COMMONHOLD_AGENT`, else the base name of the running script.
   *
   * @example openStore({ agent: 'summariser' })
   */
  agent?: string
  /**
   * When a write is on the disk. 'strict': when it returns. 'relaxed': within `flushInterval`; it
   * is visible to every process when it returns. A killed process loses nothing, a power cut loses
   * at most the last interval, and the store is never corrupt. On platforms other than Linux
   * 'relaxed' is as 'strict'. Stores of both modes may be open at once, in one process too.
   *
   * Default: 'strict'.
   *
   * Errors: ERR_INVALID_OPTION for another mode.
   *
   * @example openStore({ durability: 'relaxed' })
   */
  durability?: 'strict' | 'relaxed'
  /**
   * Milliseconds between flushes under 'relaxed'. Where several stores of a process are open at one
   * path the smallest counts.
   *
   * Default: 100. From 1 to 60,000.
   *
   * Errors: ERR_INVALID_OPTION where it is not an integer in this range.
   *
   * @example openStore({ durability: 'relaxed', flushInterval: 1000 })
   */
  flushInterval?: number
  /**
   * Largest size the store may grow to, in bytes: address space, not memory or disk. A write that
   * needs more throws ERR_STORE_FULL.
   *
   * Default: 1 TiB on 64-bit platforms, 1 GiB on Windows; less where the process may not map that
   * much. At least 1 MiB.
   *
   * Errors: RangeError ERR_INVALID_OPTION below the minimum.
   *
   * @example openStore({ maxSize: 512 * 1024 * 1024 })
   */
  maxSize?: number
  /**
   * Milliseconds that a write waits for another process, or another thread of this one, which is
   * writing; and that `openStore` waits for one which is opening the store. Then the call throws
   * ERR_BUSY, which names that process, and has done nothing. Commits take milliseconds: it is for
   * processes that were stopped in the middle of one. 0: do not wait. Reads never wait.
   *
   * Default: 5000.
   *
   * Errors: ERR_INVALID_OPTION where it is not an integer, or negative.
   *
   * @example openStore({ busyTimeout: 500 })
   */
  busyTimeout?: number
  /**
   * Open without the right to write. Where no store exists nothing is created.
   *
   * Default: false.
   *
   * Errors: ERR_NOT_FOUND where no store exists; afterwards ERR_READ_ONLY for every write.
   *
   * @example openStore({ path, readOnly: true })
   */
  readOnly?: boolean
  /** How much history this process leaves in the store when it writes; see {@link HistoryOptions}. */
  history?: HistoryOptions
}

/**
 * How much history is kept: what `watch` with `since` can resume from. Whoever writes trims what is
 * beyond its own limits, a little with each commit, so that the smallest limits win.
 */
export interface HistoryOptions {
  /**
   * Bytes of the pages that hold the history. A commit takes about 40 bytes, and each change in
   * it the bytes of its key and 3 more; a namespace's name counts once.
   *
   * Default: 16 MiB. At least 64 KiB.
   *
   * Errors: RangeError ERR_INVALID_OPTION below the minimum.
   *
   * @example openStore({ history: { maxBytes: 64 * 1024 * 1024 } })
   */
  maxBytes?: number
  /**
   * Milliseconds since a change was made.
   *
   * Default: a day. At least 1.
   *
   * @example openStore({ history: { maxAge: 60 * 60 * 1000 } })
   */
  maxAge?: number
}

/**
 * Opens a store, creating it when missing. A string is short for `{ path }`. Opening the same path
 * again in one process, worker threads included, shares one environment; each store returned is
 * closed on its own.
 *
 * Errors: ERR_INVALID_OPTION, ERR_UNSAFE_PATH, ERR_UNSUPPORTED_FILESYSTEM, ERR_NOT_FOUND,
 * ERR_FORMAT_VERSION (the store was written by a newer version), ERR_PID_NAMESPACE (a process of
 * another container has it open), ERR_DUPLICATE_COPY (this process has loaded two copies of this
 * package), ERR_NO_SPACE.
 *
 * @example
 * const store = openStore({ agent: 'fetcher' })
 * store.useNamespace('job-1').set('status', { stage: 'fetched' })
 */
export function openStore(options?: OpenOptions | string): DataStore

/**
 * The user's default store, opened on first use with the default options. Errors: as of
 * {@link openStore}, thrown by the first use.
 *
 * @example
 * dataStore.set('greeting', 'hello')
 */
export const dataStore: DataStore

/**
 * A namespace whose values a schema checks, in the default store: see
 * {@link DataStore.useNamespace}.
 */
export function useNamespace<S extends StandardSchemaV1>(
  name: string,
  options: { schema: S }
): Namespace<StandardSchemaV1.InferOutput<S>, StandardSchemaV1.InferInput<S>>
/**
 * A namespace of the default store: short for `dataStore.useNamespace(name, options)`.
 *
 * @example
 * const tasks = useNamespace<Task>('tasks')
 */
export function useNamespace<T = unknown>(
  name: string,
  options?: NamespaceOptions<T>
): Namespace<T>

/**
 * Names of the default store's namespaces: short for `dataStore.listNamespaces(options)`.
 *
 * @example listNamespaces({ prefix: 'summary:' })
 */
export function listNamespaces(options?: ListNamespacesOptions): string[]

/** How to check a store. */
export interface CheckOptions {
  /**
   * Ends the check when it aborts; the promise rejects with `signal.reason`.
   *
   * Default: none.
   *
   * @example await check(path, { signal: AbortSignal.timeout(60_000) })
   */
  signal?: AbortSignal
}

/**
 * Looks at every page and record of a store and reports what is damaged, where, and what to do;
 * docs/check.md tells all of it. A damaged store does not reject: see `status` of the report.
 *
 * The work is done in a process of its own, by plain reads, so no damage can crash this one. What
 * is stored is not changed. Others may read and write meanwhile: one commit is checked, and its
 * snapshot is held until the check ends, so the file grows by what is written meanwhile.
 *
 * Without a path: `$COMMONHOLD_PATH`, else the user's default store.
 *
 * Errors (the promise rejects): ERR_NOT_FOUND where there is no store, ERR_IO where its files cannot
 * be read or the process cannot be started, ERR_INVALID_OPTION.
 *
 * @example
 * const { status, problems, advice } = await check('/home/me/agents/store')
 * if (status !== 'sound') console.error(problems, advice.join('\n'))
 */
export function check(path?: string, options?: CheckOptions): Promise<CheckReport>

/** What {@link check} has found. Plain data, fit for JSON. */
export interface CheckReport {
  /**
   * 'sound': nothing is wrong. 'damaged': something is. 'unchecked': the store could not be looked
   * at, or not so that it can be called sound, and nothing was seen to be wrong; `problems` says why.
   */
  status: 'sound' | 'damaged' | 'unchecked'
  /** Absolute path of the store's directory, without links. */
  path: string
  /** Whether processes had the store open, this one among them. */
  inUse: boolean
  /** Version of the newest commit that was checked; null where that cannot be known. */
  version: number | null
  /** How many problems there are, listed or not. */
  problemCount: number
  /** How many problems there are of each kind that there is. */
  counts: Partial<Record<CheckProblemKind, number>>
  /** The problems in the order in which they were found, at most 1,000. */
  problems: CheckProblem[]
  /** What was looked at. */
  figures: CheckFigures
  /** How many namespaces are harmed, listed or not. */
  harmedCount: number
  /** Namespaces that a problem concerns, in byte order, at most 10,000. */
  harmed: string[]
  /** How many namespaces are unharmed, listed or not. */
  unharmedCount: number
  /** Namespaces that were looked at whole and are sound, in byte order, at most 10,000. */
  unharmed: string[]
  /** What to do, in sentences; empty where nothing is wrong. */
  advice: string[]
}

/** One thing that is wrong with a store, and where. */
export interface CheckProblem {
  /** What it is; stable over releases. */
  kind: CheckProblemKind
  /** The same in words, with details. */
  message: string
  /** The page of data.mdb. */
  page?: number
  /** The namespace that it concerns. Ill-formed bytes of a name are U+FFFD here. */
  namespace?: string
  /** The queue that it concerns. */
  queue?: string
  /** The key of the entry, or the id of the task. Ill-formed bytes are U+FFFD here. */
  key?: string
}

/** What a check has looked at. */
export interface CheckFigures {
  /** Bytes of data.mdb. */
  fileBytes: number
  /** Bytes of a page. */
  pageBytes: number
  /** Pages of the store, those of the other three kinds together. */
  pages: number
  /** Pages that hold data, or say where it is. */
  usedPages: number
  /** Pages that later writes will fill first. */
  freePages: number
  /** Pages that neither hold data nor are known to be free: wasted, and no damage. */
  leakedPages: number
  /** Namespaces with at least one record. */
  namespaces: number
  /** Records, expired ones that await removal included. */
  records: number
  /** Bytes of the records and their keys. */
  recordBytes: number
  /** Records with a time to live. */
  expiringRecords: number
  /** Rows of the history. */
  historyRows: number
  /** Queues with at least one task. */
  queues: number
  /** Tasks in all queues. */
  tasks: number
}

/** The stable names of what can be wrong with a store; docs/check.md describes each. */
export type CheckProblemKind =
  | 'walk-crashed'
  | 'not-opened'
  | 'changing'
  | 'format-version'
  | 'unsafe-path'
  | 'file-missing'
  | 'file-short'
  | 'marker'
  | 'identity'
  | 'meta-page'
  | 'read-failed'
  | 'page-outside'
  | 'page-shared'
  | 'page-header'
  | 'page-entries'
  | 'key-order'
  | 'depth'
  | 'tree-counts'
  | 'tree'
  | 'overflow'
  | 'free-list'
  | 'database'
  | 'key'
  | 'record'
  | 'value'
  | 'catalogue'
  | 'expiry'
  | 'history'
  | 'queue'

// ----------------------------------------------------------------------------------- the store

/** Which namespaces to list. */
export interface ListNamespacesOptions {
  /** Only names that begin with this. Default: all. */
  prefix?: string
}

/** How to copy a store. */
export interface BackupOptions {
  /**
   * Leave free pages out, which makes the copy smaller and the copying slower.
   *
   * Default: false.
   */
  compact?: boolean
}

/** An open store. Made by {@link openStore}. */
export interface DataStore {
  /** Absolute path of the store's directory. */
  readonly path: string
  /** Name stamped on what this store writes. */
  readonly agent: string

  /**
   * A namespace whose values a schema checks: its element type is the schema's output, and `set`
   * takes the schema's input.
   *
   * Errors: ERR_INVALID_NAMESPACE; ERR_INVALID_OPTION for a schema that is not a Standard Schema.
   *
   * @example
   * const tasks = store.useNamespace('tasks', { schema: z.object({ title: z.string() }) })
   */
  useNamespace<S extends StandardSchemaV1>(
    name: string,
    options: { schema: S }
  ): Namespace<StandardSchemaV1.InferOutput<S>, StandardSchemaV1.InferInput<S>>
  /**
   * A view of one namespace. It exists from its first key to its last; this call writes nothing.
   * Names have 1 to 512 bytes and any character but control characters.
   *
   * Errors: ERR_INVALID_NAMESPACE for a name that is empty, too long, ill-formed or has control
   * characters (TypeError when it is not a string).
   *
   * @example
   * const status = store.useNamespace<{ stage: string }>('pipeline:job-1')
   */
  useNamespace<T = unknown>(name: string, options?: NamespaceOptions<T>): Namespace<T>

  /**
   * Names of the namespaces that hold at least one live key, in byte order.
   *
   * Errors: ERR_INVALID_OPTION.
   *
   * @example store.listNamespaces({ prefix: 'summary:' })
   */
  listNamespaces(options?: ListNamespacesOptions): string[]

  /** Short for `useNamespace('default').get(key)`; see {@link Namespace.get}. */
  get<T = unknown>(key: string): T | undefined
  /** Short for `useNamespace('default').get(key, fallback)`; see {@link Namespace.get}. */
  get<T>(key: string, fallback: T): NoInfer<T>
  /** As above, with a fallback of another type. */
  get<T, F>(key: string, fallback: F): T | F
  /** Short for `useNamespace('default').set(...)`; see {@link Namespace.set}. */
  set(key: string, value: unknown, options?: SetOptions): number
  /** Short for `useNamespace('default').has(key)`; see {@link Namespace.has}. */
  has(key: string): boolean
  /** Short for `useNamespace('default').delete(key)`; see {@link Namespace.delete}. */
  delete(key: string, options?: DeleteOptions): boolean

  /**
   * The changes of every namespace, or of those whose names begin with `prefix`, from every
   * process; else as {@link Namespace.watch}.
   *
   * Errors: ERR_INVALID_OPTION.
   *
   * @example
   * for await (const change of store.watch({ prefix: 'pipeline:' })) console.log(change)
   */
  watch(options?: WatchStoreOptions): AsyncIterableIterator<Change>

  /**
   * A queue of tasks that any process may push and any process may claim. Nothing is written by
   * this call; the options are those of this view. Names follow the rule for namespaces; a
   * namespace of the same name has nothing to do with it.
   *
   * Errors: ERR_INVALID_NAMESPACE (TypeError when the name is not a string).
   *
   * @example
   * const pages = store.useQueue<{ url: string }, number>('pages', { lease: 60000 })
   */
  useQueue<T = unknown, R = unknown>(name: string, options?: QueueOptions): Queue<T, R>

  /**
   * Runs `fn` and commits what it wrote through `tx`, all or nothing; returns what `fn` returned.
   * All reads through `tx` see one state of the store, plus the transaction's own writes. Where
   * another writer has changed what was read before the commit, `fn` runs again, so it must do
   * nothing but read, compute and write through `tx`. No lock is held while it runs. Throwing rolls
   * back. Transactions are serializable, together with all other writes.
   *
   * What counts as read: single keys, also missing ones, and for a listing, a count or a `clear`
   * the whole namespace.
   *
   * Limits: 100 namespaces; 100,000 keys read one by one (a listing of any length counts as none);
   * 100,000 keys written; 256 MiB written.
   *
   * While `fn` runs this store refuses writes that are not `tx`'s (ERR_INVALID_OPTION). Reads
   * through it, or through a namespace from outside of `fn`, are no part of the transaction: they
   * are not noted, and what another process writes after them is lost silently. Read through
   * `tx.useNamespace(name)`.
   *
   * Errors: whatever `fn` throws; ERR_ASYNC_TRANSACTION for an async function or a promise as
   * result; ERR_INVALID_OPTION past a limit, for a generator, and inside another transaction of
   * this store; ERR_VALUE_TOO_LARGE; ERR_CONFLICT when others were first 1,000 times in a row,
   * as where `fn` takes long (20 ms) and reads what others write all the time: writers that lost
   * take turns, but plain writes do not wait for them; those of {@link Namespace.set}.
   *
   * @example
   * store.transaction((tx) => {
   *   const accounts = tx.useNamespace<number>('accounts')
   *   accounts.increment('ann', -30)
   *   accounts.increment('ben', 30)
   * })
   */
  transaction<R>(fn: (tx: Transaction) => NoPromise<R>): R

  /**
   * The same store with promises: writes that share commits and do not keep the event loop waiting.
   *
   * @example await store.async.useNamespace('log').set(key, line)
   */
  readonly async: AsyncDataStore

  /**
   * Waits until everything written so far, by any process, is on the disk, and what store.async has
   * queued. Strict writes are when they return; this is for relaxed ones.
   *
   * Errors: ERR_BUSY, ERR_IO.
   *
   * @example store.flush()
   */
  flush(): void
  /**
   * Copies the store as of now into a new or empty directory, which is made with mode 0700 when
   * missing. Others may read and write meanwhile. The copy is a store like any other.
   *
   * Errors (the promise rejects): ERR_INVALID_OPTION for a directory that is not empty,
   * ERR_UNSAFE_PATH, ERR_NO_SPACE, ERR_IO.
   *
   * @example await store.backup('/home/me/backups/2030-01-31', { compact: true })
   */
  backup(path: string, options?: BackupOptions): Promise<void>
  /**
   * Sizes, counts and the live processes of the store.
   *
   * @example
   * const { keys, usedBytes } = store.stats()
   */
  stats(): StoreStats
  /**
   * Closes this store; others opened at the same path go on. Closing twice is allowed, and so is
   * exiting without. Later calls throw ERR_CLOSED. The default store stays closed until the
   * process ends.
   *
   * @example store.close()
   */
  close(): void
  /**
   * Calls `close()` at the end of a block that declared the store with `using`.
   *
   * @example using store = openStore()
   */
  [Symbol.dispose](): void
}

// --------------------------------------------------------------------------------- a namespace

/** How to use a namespace. */
export interface NamespaceOptions<T> {
  /**
   * A synchronous Standard Schema (zod, valibot, arktype, ...) that every write must pass. Its
   * output is what is stored. Reads are not checked.
   *
   * Default: none.
   *
   * Errors, thrown by the writes: ERR_SCHEMA for a value it refuses (`cause` holds the issues),
   * and for a schema that answers with a promise.
   */
  schema?: StandardSchemaV1<any, T>
}

/** How to write. Every property may be left out. */
export interface SetOptions {
  /**
   * Milliseconds after which the key is gone, at most 315,576,000,000,000 (10,000 years).
   *
   * Default: `set` and `setMany` make the key permanent, also if it had a time to live; `update`
   * and `increment` keep the one it had.
   *
   * Errors: RangeError ERR_INVALID_OPTION.
   *
   * @example leases.set('printer', 'agent-7', { ttl: 30_000 })
   */
  ttl?: number
  /**
   * Merged into the entry's metadata, one level deep: a field replaces the one of the same name,
   * null removes it, the others stay. JSON only, at most 64 KiB in all: what JSON would change is
   * refused, a Date (give `date.toISOString()`) or a Map among it.
   *
   * Default: the metadata stay as they are.
   *
   * Errors: ERR_INVALID_OPTION for what is not JSON, ERR_VALUE_TOO_LARGE.
   *
   * @example files.set(path, text, { metadata: { language: 'rust', draft: null } })
   */
  metadata?: Record<string, unknown>
  /**
   * Write only if the entry is still at this version; 0: only if there is no entry.
   *
   * Default: write in any case.
   *
   * Errors: ERR_CONFLICT when the entry is at another version; ERR_INVALID_OPTION for what cannot
   * be a version, `undefined` included: write `entry?.version ?? 0`.
   *
   * @example const claimed = tasks.set('t1', 'mine', { ifVersion: 0 })
   */
  ifVersion?: number
}

/** A value and what is known about it. */
export interface Entry<T> {
  /** The key. */
  readonly key: string
  /** The value. */
  readonly value: T
  /** Changes with every write; larger is later, across the whole store. Below 2^53. */
  readonly version: number
  /** When the key came into being, by the writer's clock, to the millisecond. */
  readonly createdAt: Date
  /** When the key was last written. */
  readonly updatedAt: Date
  /** Name of the agent that created the key. */
  readonly createdBy: string
  /** Name of the agent that wrote the key last. */
  readonly updatedBy: string
  /** When the key will be gone; absent when it has no time to live. */
  readonly expiresAt?: Date
  /** What writers attached with {@link SetOptions.metadata}; empty when nothing. */
  readonly metadata: Readonly<Record<string, unknown>>
}

/**
 * Which keys to read, and in which order. The properties combine; `start` and `end` are the low
 * and the high bound, also with `reverse`.
 *
 * @example events.getAll({ prefix: '2030-01-', reverse: true, limit: 10 })
 */
export interface RangeOptions {
  /** Only keys that begin with this. Default: all. */
  prefix?: string
  /** Lowest key, inclusive. Default: the first. */
  start?: string
  /** Highest key, exclusive. Default: after the last. */
  end?: string
  /** From the highest key to the lowest. Default: false. */
  reverse?: boolean
  /** At most so many keys. Default: all; nothing is ever cut silently. */
  limit?: number
}

/**
 * A view of one namespace. Made by {@link DataStore.useNamespace}.
 *
 * Keys are well-formed strings of 1 to 1,978 bytes. A method that takes a key throws
 * ERR_INVALID_KEY (TypeError when it is not a string) or ERR_KEY_TOO_LONG; the comments below do
 * not repeat that.
 *
 * Values are null, booleans, numbers, strings, BigInt, Date, Buffer, Uint8Array and the other
 * typed arrays, ArrayBuffer, DataView, and arrays, plain objects, Map and Set of these, nested to
 * 512 levels, up to 512 MiB. `undefined` may stand inside a value, but not be one.
 *
 * `T` is what is read, `Input` what is written; they differ only under a schema that transforms.
 */
export interface Namespace<T = unknown, Input = T> {
  /** The namespace's name. */
  readonly name: string

  /**
   * The value of a key, or `undefined`. Sees every write that returned before the call began, in
   * any process.
   *
   * @example const stage = status.get('stage')
   */
  get(key: string): T | undefined
  /**
   * The value of a key, or `fallback` when there is none.
   *
   * @example const done = meta.get('completed', 0)
   */
  get<F>(key: string, fallback: F): T | F
  /**
   * The value of a key with its version, times, writers and metadata, or `undefined`.
   *
   * @example const by = status.getEntry('stage')?.updatedBy
   */
  getEntry(key: string): Entry<T> | undefined
  /**
   * Whether a key exists. Cheaper than `get` for large values.
   *
   * @example if (!cache.has(url)) fetchInto(cache, url)
   */
  has(key: string): boolean
  /**
   * The values of several keys from one snapshot. Missing keys are left out.
   *
   * @example const { title, body } = page.getMany(['title', 'body'])
   */
  getMany(keys: Iterable<string>): Record<string, T>
  /**
   * Every key with its value, from one snapshot. "__proto__" is an own property like any other.
   *
   * Errors: ERR_INVALID_OPTION.
   *
   * @example const summaries = store.useNamespace('summary:repo').getAll({ prefix: 'src/' })
   */
  getAll(options?: RangeOptions): Record<string, T>
  /**
   * The keys, in byte order, from one snapshot.
   *
   * Errors: ERR_INVALID_OPTION.
   *
   * @example const jobs = queue.listKeys({ prefix: 'job:' })
   */
  listKeys(options?: RangeOptions): string[]
  /**
   * How many keys there are.
   *
   * @example const total = files.count()
   */
  count(): number
  /**
   * The keys, in byte order, read in chunks: the loop body may take its time and may write. A key
   * that exists all the while comes exactly once; one that comes or goes meanwhile may or may not.
   *
   * Errors: ERR_INVALID_OPTION.
   *
   * @example for (const key of files.keys({ prefix: 'src/' })) console.log(key)
   */
  keys(options?: RangeOptions): IterableIterator<string>
  /**
   * The values, in byte order of their keys; else as {@link Namespace.keys}.
   *
   * @example for (const text of files.values({ limit: 100 })) index(text)
   */
  values(options?: RangeOptions): IterableIterator<T>
  /**
   * The keys with their values, in byte order of the keys; else as {@link Namespace.keys}.
   *
   * @example for (const [key, text] of files.entries()) index(key, text)
   */
  entries(options?: RangeOptions): IterableIterator<[string, T]>
  /**
   * As `entries()`.
   *
   * @example const everything = new Map(files)
   */
  [Symbol.iterator](): IterableIterator<[string, T]>

  /**
   * The current state, then every change from every process, as it happens. The state comes as
   * 'set' changes in the order of their versions; with `since` only what came after it. Without
   * `key` and `prefix`: the whole namespace.
   *
   * A 'set' carries the value that its commit wrote; where the key has been written again since,
   * it is left out, because the later one comes. So a slow reader may skip values, but it never
   * misses a key's last state, sees every 'delete', 'expire' and 'clear', and sees all of it in
   * the order of commits. No more is read ahead than one small batch; while nothing is asked for,
   * nothing is read.
   *
   * The loop ends when `signal` aborts, with `break`, and when the store is closed. A pending
   * `next()` keeps the process alive; a watcher that nobody asks does not. An expired entry is
   * announced within a second of its time, as long as a process that may write watches.
   *
   * Errors: ERR_INVALID_KEY; ERR_INVALID_OPTION, also for `key` together with `prefix`. `next()`
   * rejects with ERR_CORRUPT where a value is damaged, and ends the watcher.
   *
   * @example
   * for await (const change of status.watch({ key: 'stage' })) {
   *   if (change.type === 'set') console.log(change.value)
   * }
   */
  watch(options?: WatchNamespaceOptions): AsyncIterableIterator<Change<T>>
  /**
   * Resolves with the value as soon as the key exists and `predicate` (called with the value, and
   * again after each change) holds. A value that is there for a moment only may be missed.
   * While it waits it keeps the process alive. It never polls.
   *
   * Errors (the promise rejects): ERR_TIMEOUT after `timeout`; the signal's reason when `signal`
   * aborts; ERR_CLOSED when the store is closed; ERR_INVALID_KEY, ERR_INVALID_OPTION; whatever
   * `predicate` throws.
   *
   * @example const parsed = await stages.waitFor('parsed', { timeout: 60000 })
   */
  waitFor(key: string, options?: WaitForOptions<T>): Promise<T>

  /**
   * Writes a value and returns the entry's new version. When it returns, the value is on the disk
   * and visible to every process.
   *
   * Errors: ERR_INVALID_VALUE (TypeError) names the place inside the value that cannot be stored,
   * `undefined` itself included (use `delete`); ERR_VALUE_TOO_DEEP, ERR_VALUE_TOO_LARGE,
   * ERR_SCHEMA, ERR_CONFLICT, ERR_INVALID_OPTION, ERR_STORE_FULL, ERR_NO_SPACE.
   *
   * @example const version = status.set('stage', 'parsed', { metadata: { source: 'cli' } })
   */
  set(key: string, value: Input, options?: SetOptions): number
  /**
   * Writes many values in one commit, all or none, and returns how many. Far cheaper than as many
   * calls of `set`. Of a key given twice the last counts.
   *
   * Errors: as of {@link Namespace.set}, without ERR_CONFLICT.
   *
   * @example files.setMany(paths.map((path) => [path, readFileSync(path, 'utf8')]))
   */
  setMany(
    entries: Iterable<readonly [string, Input]> | Record<string, Input>,
    options?: Omit<SetOptions, 'ifVersion'>
  ): number
  /**
   * Reads a value, changes it and writes the result, atomically over all processes; returns what
   * was written. `fn` gets the value and its entry (`undefined` when there is none) and must be
   * free of side effects, because it runs again when another writer was first. Returning
   * `undefined` deletes the key. No lock is held while `fn` runs; throwing leaves all as it was.
   *
   * Errors: as of {@link Namespace.set}, and whatever `fn` throws. ERR_CONFLICT also when others
   * were first 1,000 times in a row: where `fn` writes the key itself, or takes long (20 ms) on a
   * key that others write all the time. Writers that lost take turns; plain writes do not wait.
   *
   * @example const { status } = tasks.update('t1', (task) => ({ ...task, status: 'done' }))
   */
  update(
    key: string,
    fn: (value: T | undefined, entry: Entry<T> | undefined) => Input,
    options?: SetOptions
  ): T
  /**
   * As above, where `fn` may delete the key by returning `undefined`.
   *
   * @example tasks.update('t1', (task) => task && { ...task, status: 'done' })
   */
  update(
    key: string,
    fn: (value: T | undefined, entry: Entry<T> | undefined) => Input | undefined,
    options?: SetOptions
  ): T | undefined
  /**
   * Adds to a number, atomically over all processes, and returns the new value. A missing key
   * counts as 0. Metadata and time to live stay.
   *
   * Default of `by`: 1.
   *
   * Errors: ERR_NOT_A_NUMBER when the key holds something else; ERR_INVALID_OPTION for a `by`
   * or a sum that is not a finite number; ERR_SCHEMA.
   *
   * @example const completed = meta.increment('completed')
   */
  increment(key: string, by?: number): number
  /**
   * Deletes a key and returns whether it was there.
   *
   * Errors: ERR_CONFLICT when `ifVersion` is given and the entry is at another version.
   *
   * @example const mine = tasks.delete('t1', { ifVersion: version })
   */
  delete(key: string, options?: DeleteOptions): boolean
  /**
   * Deletes several keys in one commit and returns how many were there.
   *
   * @example cache.deleteMany(['a', 'b'])
   */
  deleteMany(keys: Iterable<string>): number
  /**
   * Deletes all keys, or those under a prefix, in one commit and returns how many.
   *
   * Errors: ERR_INVALID_OPTION.
   *
   * @example store.useNamespace('pipeline:job-1').clear()
   */
  clear(options?: ClearOptions): number
}

/** How to delete. */
export interface DeleteOptions {
  /** Delete only if the entry is still at this version, not `undefined`. Default: in any case. */
  ifVersion?: number
}

/** What to clear. */
export interface ClearOptions {
  /** Only keys that begin with this. Default: all. */
  prefix?: string
}

// -------------------------------------------------------------------------------- transactions

/**
 * What the function of a transaction may return: anything but a promise, because the transaction
 * ends with the function. A generic function that hands its argument on needs this type.
 *
 * @example
 * function traced<R>(fn: (tx: Transaction) => NoPromise<R>): R {
 *   return store.transaction<R>(fn)
 * }
 */
export type NoPromise<R> = R extends PromiseLike<unknown> ? never : R

/**
 * What the function of {@link DataStore.transaction} gets. Every method throws ERR_CLOSED after the
 * end of the function.
 */
export interface Transaction {
  /**
   * A namespace as the transaction sees it. It has no schema: check values before they are set.
   *
   * Errors: ERR_INVALID_NAMESPACE; ERR_INVALID_OPTION at the 101st namespace.
   *
   * @example const tasks = tx.useNamespace<Task>('tasks')
   */
  useNamespace<T = unknown>(name: string): TransactionNamespace<T>
}

/**
 * A namespace inside a transaction: the methods of {@link Namespace}, which here see and change
 * what the transaction will commit. Any of them may throw ERR_CONFLICT because another writer has
 * changed what was read; then `fn` runs again, whatever it does with that error.
 *
 * Entries written in the transaction have version 0, because versions are given at the commit.
 * `ifVersion` is compared with the stored entry, whatever the transaction itself has written.
 */
export interface TransactionNamespace<T = unknown> extends Pick<Namespace<T>,
  'name' | 'get' | 'getEntry' | 'has' | 'getMany' | 'getAll' | 'listKeys' | 'count' |
  'setMany' | 'increment' | 'delete' | 'deleteMany' | 'clear'
> {
  /**
   * Writes a value at the commit. Returns nothing, because the version is not known before.
   *
   * Errors: as of {@link Namespace.set}.
   *
   * @example tx.useNamespace('tasks').set('t1', task, { ttl: 60_000 })
   */
  set(key: string, value: T, options?: SetOptions): void
}

// ------------------------------------------------------------------------------------ watching

/** Where a watch begins and how it ends. */
export interface WatchOptions {
  /**
   * Ends the loop when it aborts, also when it has aborted before. The loop ends as with `break`,
   * without an error.
   *
   * @example tasks.watch({ signal: AbortSignal.timeout(60000) })
   */
  signal?: AbortSignal
  /**
   * Resume after the commit of this version: remember `change.version` once you have handled a
   * change with `last`, and of what came after it nothing is missed or told twice. A watcher killed
   * between handling and remembering is told that commit again, unless it writes effect and
   * position in one `setMany` or transaction.
   *
   * 0 begins with the oldest change of the kept history, deletions included. Default: begin with
   * the current state, which does not tell what was deleted before.
   *
   * A version that the kept history does not reach back to (see {@link HistoryOptions}), or from
   * before a restored backup, gives one 'reset', then the current state.
   *
   * Errors: RangeError ERR_INVALID_OPTION for anything but a whole number from 0.
   *
   * @example tasks.watch({ since: progress.get('handled', 0) })
   */
  since?: number
}

/** What to watch in a namespace: a key, or the keys that begin with a prefix, or all. */
export interface WatchNamespaceOptions extends WatchOptions {
  /** One key. Not together with `prefix`. */
  key?: string
  /** The beginning of keys. Default: '', all keys. */
  prefix?: string
}

/** What to watch in a store. */
export interface WatchStoreOptions extends WatchOptions {
  /** The beginning of the names of namespaces. Default: '', all namespaces. */
  prefix?: string
}

/**
 * One change. Those of one commit share a version and come one after another; `last` marks the
 * final one of its commit that this watcher is told.
 *
 * - 'set': an entry was written.
 * - 'delete': it was deleted; 'expire': its time to live was over.
 * - 'clear': all keys of the namespace, or those that begin with `prefix`, were deleted at once.
 * - 'reset': changes were missed, and the current state follows; drop what you have remembered.
 */
export type Change<T = unknown> = { last: boolean } & (
  | { type: 'set'; namespace: string; key: string; version: number; value: T }
  | { type: 'delete' | 'expire'; namespace: string; key: string; version: number }
  | { type: 'clear'; namespace: string; prefix?: string; version: number }
  | { type: 'reset'; version: number }
)

/** How long to wait for a key, and for what. */
export interface WaitForOptions<T> {
  /**
   * What the value must satisfy. It answers at once: a promise is refused. Default: nothing, any
   * value will do.
   *
   * Errors: TypeError ERR_INVALID_OPTION when it returns a promise.
   */
  predicate?: (value: T) => boolean
  /** Ends the wait: the promise rejects with `signal.reason`. */
  signal?: AbortSignal
  /**
   * Milliseconds to wait, at most 2,147,483,647 (24.8 days); 0: now or never. Default: no limit.
   *
   * Errors: RangeError ERR_INVALID_OPTION.
   */
  timeout?: number
}

// ------------------------------------------------------------------------------------ queues

/**
 * How a worker claims tasks. Every property may be left out. They belong to the handle that claims
 * and are not stored with the queue: let all agents import one module that opens it.
 */
export interface QueueOptions {
  /**
   * Milliseconds for which a claimed task stays with its worker unless the lease is renewed: 1 to
   * 86,400,000 (a day).
   *
   * Default: 30000.
   *
   * Errors: RangeError ERR_INVALID_OPTION.
   *
   * @example store.useQueue('pages', { lease: 60000 })
   */
  lease?: number
  /**
   * Claims of a task before it is dead: 1 to 1,000,000. A claim by an agent with a smaller number
   * may bury a task whose lease ran out.
   *
   * Default: 5.
   *
   * Errors: RangeError ERR_INVALID_OPTION.
   *
   * @example store.useQueue('pages', { maxAttempts: 3 })
   */
  maxAttempts?: number
}

/** How to push a task. Every property may be left out. */
export interface PushOptions {
  /**
   * The task's id, 1 to 1,024 bytes. A push whose id exists is ignored, whatever became of the
   * task that has it.
   *
   * Default: a random UUID.
   *
   * Errors: ERR_INVALID_KEY, ERR_KEY_TOO_LONG.
   *
   * @example pages.push({ url }, { id: url })
   */
  id?: string
  /**
   * Milliseconds before the task can be claimed.
   *
   * Default: 0.
   *
   * Errors: RangeError ERR_INVALID_OPTION.
   *
   * @example pages.push({ url }, { delay: 60000 })
   */
  delay?: number
}

/** Which tasks to list. Every property may be left out. */
export interface ListTasksOptions {
  /** Only tasks with this status. Default: all. */
  status?: TaskStatus
  /** At most so many. Default: no limit. */
  limit?: number
}

/** How to end a wait for a queue. */
export interface QueueWaitOptions {
  /** Ends the wait when it aborts, also when it has aborted before. Default: none. */
  signal?: AbortSignal
}

/** How to give a task back. */
export interface FailOptions {
  /**
   * Milliseconds before the task can be claimed again.
   *
   * Default: 0.
   *
   * Errors: RangeError ERR_INVALID_OPTION.
   *
   * @example task.fail(error, { retryIn: 1000 * 2 ** task.attempt })
   */
  retryIn?: number
}

/** How many tasks of a queue have each status. */
export interface QueueStats {
  /** Waiting for a worker. */
  pending: number
  /** Waiting for their time. */
  delayed: number
  /** With a worker, or its lease has ended and nobody has claimed it since. */
  claimed: number
  /** Finished; they stay until `clear()`. */
  completed: number
  /** Tried as often as allowed. */
  dead: number
}

/** Where a task is on its way. */
export type TaskStatus = 'pending' | 'delayed' | 'claimed' | 'completed' | 'dead'

/**
 * A queue of tasks. Every step is one durable commit. A worker has a task for the length of a
 * lease; when that ends, whether the worker has died or is only slow, another may claim the task.
 * So a body may run twice for one task, but only one of them finishes it.
 */
export interface Queue<T = unknown, R = unknown> {
  /** The queue's name. */
  readonly name: string

  /**
   * Adds a task and returns its id. Pushing an id that exists is ignored.
   *
   * Errors: ERR_INVALID_VALUE, ERR_VALUE_TOO_LARGE, ERR_VALUE_TOO_DEEP.
   *
   * @example const id = pages.push({ url: 'https://example.org' })
   */
  push(item: T, options?: PushOptions): string
  /**
   * Adds many tasks in one commit and returns their ids.
   *
   * Errors: as {@link Queue.push}; then nothing was added.
   *
   * @example pages.pushMany(urls.map((url) => ({ url })))
   */
  pushMany(items: Iterable<T>): string[]
  /**
   * Takes a task now: the one whose lease ended first, else the one that became pending first;
   * `undefined` where there is none. Its lease is not renewed by itself.
   *
   * @example const task = pages.claim()
   */
  claim(): Task<T, R> | undefined
  /**
   * Claims a task for each turn of a loop, and sleeps while there is none. The lease is renewed
   * while the body of the loop runs, also while it blocks the event loop. The loop ends with
   * `break`, when the signal aborts, and when the store is closed. A pending `next()` keeps the
   * process alive.
   *
   * A body that throws ends the loop and does not fail the task. One that hangs is renewed for
   * ever: use time-outs. After a forgotten `await` the task is settled too late. Where the worker
   * was stopped for longer than its lease, `complete` and `fail` both throw ERR_LEASE_LOST.
   *
   * Errors: `next()` rejects where a claim fails, and the iteration is over.
   *
   * @example
   * for await (const task of pages.consume()) {
   *   try {
   *     try {
   *       task.complete(await fetchPage(task.item.url))
   *     } catch (error) {
   *       task.fail(error, { retryIn: 1000 })
   *     }
   *   } catch (error) { // lost: another worker has it
   *     if (!(error instanceof DataStoreError && error.code === 'ERR_LEASE_LOST')) throw error
   *   }
   * }
   */
  consume(options?: QueueWaitOptions): AsyncIterableIterator<Task<T, R>>
  /**
   * What the queue knows of a task; `undefined` where there is none with this id.
   *
   * Errors: ERR_INVALID_KEY, ERR_KEY_TOO_LONG.
   *
   * @example pages.get(id)?.status
   */
  get(id: string): TaskState<T, R> | undefined
  /**
   * Tasks with one status in their order (pending ones as they will be claimed, delayed and
   * claimed ones by time, others in the order in which they became so), or all, status by status.
   *
   * @example pages.list({ status: 'dead', limit: 10 })
   */
  list(options?: ListTasksOptions): TaskState<T, R>[]
  /**
   * Results of the completed tasks by id, in the order of completion; but JavaScript lists ids
   * that look like array indices first. Where the order matters use `list`.
   *
   * @example Object.values(pages.results())
   */
  results(): Record<string, R>
  /**
   * How many tasks have each status. Costs a look-up, however many there are.
   *
   * @example const { pending, dead } = pages.stats()
   */
  stats(): QueueStats
  /**
   * Resolves when nothing is pending, delayed or claimed. Keeps the process alive meanwhile; where
   * no worker is left it waits for ever, so give a signal.
   *
   * Errors: rejects with `signal.reason` when the signal aborts, with ERR_CLOSED when the store is
   * closed.
   *
   * @example await pages.drained()
   */
  drained(options?: QueueWaitOptions): Promise<void>
  /**
   * Makes every dead task pending again, with a fresh budget of attempts; returns how many. The
   * number of the attempt goes on growing.
   *
   * @example pages.retryDead()
   */
  retryDead(): number
  /**
   * Removes every task, whatever its status, and the results; returns how many tasks.
   *
   * @example pages.clear()
   */
  clear(): number
}

/** What a queue knows of a task. */
export interface TaskState<T = unknown, R = unknown> {
  /** The task's id. */
  id: string
  /** What was pushed. */
  item: T
  /** A delayed task whose time has come is pending. */
  status: TaskStatus
  /** How often the task was claimed. */
  attempt: number
  /** The agent that has claimed it. Only while it is claimed. */
  claimedBy?: string
  /** When its lease ends. Only while it is claimed. */
  leaseExpiresAt?: Date
  /** What it was completed with, unless that is undefined. */
  result?: R
  /** Why the last attempt failed, cut at 4,096 bytes; gone when the task is completed. */
  error?: string
}

/** A task that this worker has claimed. */
export interface Task<T = unknown, R = unknown> {
  /** The task's id. */
  readonly id: string
  /** What was pushed. */
  readonly item: T
  /**
   * 1 for the first claim, larger with each one. Also the fencing token: give it to whatever else
   * the work writes to, and let that refuse a smaller one.
   */
  readonly attempt: number
  /**
   * Makes the lease end so many milliseconds from now. Default: the queue's `lease`.
   *
   * Errors: ERR_LEASE_LOST.
   *
   * @example task.renew(60000)
   */
  renew(ms?: number): void
  /**
   * Finishes the task. Still accepted after the lease has ended if nobody has claimed the task
   * since.
   *
   * Errors: ERR_LEASE_LOST; ERR_INVALID_VALUE, ERR_VALUE_TOO_LARGE, ERR_VALUE_TOO_DEEP for the
   * result.
   *
   * @example task.complete({ bytes: 1024 })
   */
  complete(result?: R): void
  /**
   * Puts the task back to the end of the queue after `retryIn` milliseconds, or makes it dead if
   * it was claimed `maxAttempts` times. Keeps the error's message.
   *
   * Errors: ERR_LEASE_LOST.
   *
   * @example task.fail(new Error('no route'), { retryIn: 1000 })
   */
  fail(error: unknown, options?: FailOptions): void
}

// ------------------------------------------------------------------------------------ promises

/**
 * The same store with promises: {@link DataStore.async}. Writes go to one thread of the process,
 * which commits together all that is waiting, so that a thousand writes cost little more than one,
 * and the event loop waits neither for the disk nor for other processes.
 *
 * - A promise of a write resolves when the write is visible to every process and, under 'strict'
 *   {@link OpenOptions.durability}, on the disk. What it writes is encoded before the call returns:
 *   changing the value afterwards changes nothing.
 * - Writes are applied in the order of the calls, synchronous ones included, each of them alone:
 *   one that fails leaves nothing behind and does not touch the others. Two calls never share a
 *   version of one key.
 * - A read that begins after a write was awaited sees it. Reads do not wait for writes that are on
 *   their way; `claim` does.
 * - Nothing throws: what the synchronous method throws is what the promise rejects with, for
 *   wrong arguments too; an iterator rejects at its first `next()`. `useNamespace` and `useQueue`
 *   check nothing: a wrong name rejects each call.
 * - Where more than 64 MiB wait to be written, a call blocks until there is room: await now and
 *   then.
 * - A promise that is pending keeps the process alive. Writes that were not awaited when
 *   `process.exit()` is called may be lost, each as a whole; `close()` of either kind writes them.
 *
 * Besides what is said below, a promise rejects with ERR_CLOSED after `close()`, and with whatever
 * the synchronous method throws.
 *
 * @example
 * const pages = store.async.useNamespace('pages')
 * await Promise.all(urls.map(async (url) => pages.set(url, await fetchPage(url))))
 */
export interface AsyncDataStore {
  /**
   * A namespace whose values a schema checks; see {@link DataStore.useNamespace}.
   *
   * @example
   * const tasks = store.async.useNamespace('tasks', { schema: z.object({ title: z.string() }) })
   */
  useNamespace<S extends StandardSchemaV1>(
    name: string,
    options: { schema: S }
  ): AsyncNamespace<StandardSchemaV1.InferOutput<S>, StandardSchemaV1.InferInput<S>>
  /**
   * A view of one namespace; see {@link DataStore.useNamespace}.
   *
   * Errors, of the calls of what this returns: ERR_INVALID_NAMESPACE, ERR_INVALID_OPTION.
   *
   * @example
   * const status = store.async.useNamespace<{ stage: string }>('pipeline:job-1')
   */
  useNamespace<T = unknown>(name: string, options?: NamespaceOptions<T>): AsyncNamespace<T>
  /**
   * Names of the namespaces that hold at least one live key; see {@link DataStore.listNamespaces}.
   *
   * @example for (const name of await store.async.listNamespaces()) console.log(name)
   */
  listNamespaces(options?: ListNamespacesOptions): Promise<string[]>

  /** Short for `useNamespace('default').get(key)`; see {@link AsyncNamespace.get}. */
  get<T = unknown>(key: string): Promise<T | undefined>
  /** Short for `useNamespace('default').get(key, fallback)`; see {@link AsyncNamespace.get}. */
  get<T>(key: string, fallback: T): Promise<NoInfer<T>>
  /** As above, with a fallback of another type. */
  get<T, F>(key: string, fallback: F): Promise<T | F>
  /** Short for `useNamespace('default').set(...)`; see {@link AsyncNamespace.set}. */
  set(key: string, value: unknown, options?: SetOptions): Promise<number>
  /** Short for `useNamespace('default').has(key)`; see {@link AsyncNamespace.has}. */
  has(key: string): Promise<boolean>
  /** Short for `useNamespace('default').delete(key)`; see {@link AsyncNamespace.delete}. */
  delete(key: string, options?: DeleteOptions): Promise<boolean>

  /**
   * The changes of every namespace, or of those whose names begin with `prefix`; see
   * {@link DataStore.watch}.
   *
   * @example
   * for await (const change of store.async.watch({ prefix: 'pipeline:' })) console.log(change)
   */
  watch(options?: WatchStoreOptions): AsyncIterableIterator<Change>
  /**
   * A queue of tasks; see {@link DataStore.useQueue}.
   *
   * Errors, of the calls of what this returns: ERR_INVALID_NAMESPACE, ERR_INVALID_OPTION.
   *
   * @example
   * const pages = store.async.useQueue<{ url: string }, number>('pages', { lease: 60000 })
   */
  useQueue<T = unknown, R = unknown>(name: string, options?: QueueOptions): AsyncQueue<T, R>

  /**
   * As {@link DataStore.transaction}, where `fn` may be async and may await: the same guarantees
   * and limits. It still holds no lock and is optimistic: the longer it takes, the more often
   * another writer is first, and `fn` runs again. So do what is slow, or may not be done twice,
   * before or after. Several may run at once on one store, and the store may be written to beside
   * them; but what `fn` reads or writes other than through `tx` is no part of the transaction.
   *
   * What `fn` has not awaited when its promise resolves may still be in time, or reject with
   * ERR_CLOSED.
   *
   * Errors: whatever `fn` throws or rejects with; ERR_INVALID_OPTION past a limit and for a
   * generator; ERR_VALUE_TOO_LARGE; ERR_CONFLICT when others were first 1,000 times in a row.
   *
   * @example
   * await store.async.transaction(async (tx) => {
   *   const accounts = tx.useNamespace<number>('accounts')
   *   const amount = Math.min(30, await accounts.get('ann', 0))
   *   await accounts.increment('ann', -amount)
   *   await accounts.increment('ben', amount)
   * })
   */
  transaction<R>(fn: (tx: AsyncTransaction) => MaybePromised<R>): Promise<R>

  /**
   * Resolves when all that was written so far, the writes that are on their way included, is on the
   * disk.
   *
   * @example
   * log.set(key, line).catch(report)
   * await store.async.flush()
   */
  flush(): Promise<void>
  /** As {@link DataStore.backup}. */
  backup(path: string, options?: BackupOptions): Promise<void>
  /** As {@link DataStore.stats}. */
  stats(): Promise<StoreStats>
  /**
   * Closes the store, this one and the synchronous one, which are the same: at once for new calls;
   * it resolves when the writes that are on their way are done and the store is closed. Closing
   * twice is allowed.
   *
   * @example await store.async.close()
   */
  close(): Promise<void>
  /**
   * Calls `close()` at the end of a block that declared it with `await using`.
   *
   * @example await using store = openStore().async
   */
  [Symbol.asyncDispose](): Promise<void>
}

/** What may be awaited or not. */
export type MaybePromised<R> = Promise<R> | R

/**
 * A view of one namespace with promises. Made by {@link AsyncDataStore.useNamespace}. Each method
 * does what the one of {@link Namespace} does, and rejects with what that throws.
 */
export interface AsyncNamespace<T = unknown, Input = T> {
  /** The namespace's name. */
  readonly name: string

  /**
   * The value of a key, or `undefined`. Sees every write that was acknowledged before the call
   * began, in any process; those that are on their way it does not wait for.
   *
   * @example const stage = await status.get('stage')
   */
  get(key: string): Promise<T | undefined>
  /**
   * The value of a key, or `fallback` when there is none.
   *
   * @example const done = await meta.get('completed', 0)
   */
  get<F>(key: string, fallback: F): Promise<T | F>
  /**
   * The value of a key with its version, times, writers and metadata, or `undefined`.
   *
   * @example const entry = await status.getEntry('stage')
   */
  getEntry(key: string): Promise<Entry<T> | undefined>
  /**
   * Whether a key exists.
   *
   * @example if (!await cache.has(url)) await fetchInto(cache, url)
   */
  has(key: string): Promise<boolean>
  /**
   * The values of several keys from one snapshot. Missing keys are left out.
   *
   * @example const { title, body } = await page.getMany(['title', 'body'])
   */
  getMany(keys: Iterable<string>): Promise<Record<string, T>>
  /**
   * Every key with its value, from one snapshot.
   *
   * Errors: ERR_INVALID_OPTION.
   *
   * @example const summaries = await files.getAll({ prefix: 'src/' })
   */
  getAll(options?: RangeOptions): Promise<Record<string, T>>
  /**
   * The keys, in byte order, from one snapshot.
   *
   * Errors: ERR_INVALID_OPTION.
   *
   * @example const jobs = await queue.listKeys({ prefix: 'job:' })
   */
  listKeys(options?: RangeOptions): Promise<string[]>
  /**
   * How many keys there are.
   *
   * @example const total = await files.count()
   */
  count(): Promise<number>
  /**
   * The keys, in byte order, read in chunks; see {@link Namespace.keys}.
   *
   * Errors: `next()` rejects with ERR_INVALID_OPTION.
   *
   * @example for await (const key of files.keys({ prefix: 'src/' })) console.log(key)
   */
  keys(options?: RangeOptions): AsyncIterableIterator<string>
  /**
   * The values, in byte order of their keys; else as {@link AsyncNamespace.keys}.
   *
   * @example for await (const text of files.values({ limit: 100 })) await index(text)
   */
  values(options?: RangeOptions): AsyncIterableIterator<T>
  /**
   * The keys with their values, in byte order of the keys; else as {@link AsyncNamespace.keys}.
   *
   * @example for await (const [key, text] of files.entries()) await index(key, text)
   */
  entries(options?: RangeOptions): AsyncIterableIterator<[string, T]>
  /**
   * As `entries()`.
   *
   * @example for await (const [key, text] of files) await index(key, text)
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<[string, T]>

  /**
   * The current state, then every change from every process; see {@link Namespace.watch}.
   *
   * Errors: the first `next()` rejects with what `Namespace.watch` throws.
   *
   * @example for await (const change of status.watch({ key: 'stage' })) console.log(change)
   */
  watch(options?: WatchNamespaceOptions): AsyncIterableIterator<Change<T>>
  /**
   * Resolves with the value as soon as the key exists and `predicate` holds; see
   * {@link Namespace.waitFor}.
   *
   * @example const parsed = await stages.waitFor('parsed', { timeout: 60000 })
   */
  waitFor(key: string, options?: WaitForOptions<T>): Promise<T>

  /**
   * Writes a value; resolves with the entry's new version when it is on the disk.
   *
   * Errors: as of {@link Namespace.set}.
   *
   * @example const version = await status.set('stage', 'parsed', { ttl: 60000 })
   */
  set(key: string, value: Input, options?: SetOptions): Promise<number>
  /**
   * Writes many values in one commit, all or none; resolves with how many.
   *
   * Errors: as of {@link Namespace.setMany}.
   *
   * @example await files.setMany({ 'a.js': one, 'b.js': two })
   */
  setMany(
    entries: Iterable<readonly [string, Input]> | Record<string, Input>,
    options?: Omit<SetOptions, 'ifVersion'>
  ): Promise<number>
  /**
   * Reads a value, changes it and writes the result, atomically over all processes, where `fn` may
   * be async; see {@link Namespace.update}. No lock is held while `fn` runs, and it runs again when
   * another writer was first: the longer it takes, the more often.
   *
   * Errors: as of {@link Namespace.update}, and what `fn` rejects with.
   *
   * @example await tasks.update('t1', (task) => ({ ...task, status: 'done' }))
   */
  update(
    key: string,
    fn: (value: T | undefined, entry: Entry<T> | undefined) => MaybePromised<Input>,
    options?: SetOptions
  ): Promise<T>
  /**
   * As above, where `fn` may delete the key by giving `undefined`.
   *
   * @example await tasks.update('t1', async (task) => task && review(task))
   */
  update(
    key: string,
    fn: (value: T | undefined, entry: Entry<T> | undefined) => MaybePromised<Input | undefined>,
    options?: SetOptions
  ): Promise<T | undefined>
  /**
   * Adds to a number, atomically over all processes; resolves with the new value.
   *
   * Errors: as of {@link Namespace.increment}.
   *
   * @example const completed = await meta.increment('completed')
   */
  increment(key: string, by?: number): Promise<number>
  /**
   * Deletes a key; resolves with whether it was there.
   *
   * Errors: ERR_CONFLICT when `ifVersion` is given and the entry is at another version.
   *
   * @example await tasks.delete('t1')
   */
  delete(key: string, options?: DeleteOptions): Promise<boolean>
  /**
   * Deletes several keys in one commit; resolves with how many were there.
   *
   * @example await cache.deleteMany(['a', 'b'])
   */
  deleteMany(keys: Iterable<string>): Promise<number>
  /**
   * Deletes all keys, or those under a prefix, in one commit; resolves with how many.
   *
   * Errors: ERR_INVALID_OPTION.
   *
   * @example await store.async.useNamespace('pipeline:job-1').clear()
   */
  clear(options?: ClearOptions): Promise<number>
}

/**
 * What the function of {@link AsyncDataStore.transaction} gets. Every method rejects with
 * ERR_CLOSED after the end of the function.
 */
export interface AsyncTransaction {
  /**
   * A namespace as the transaction sees it; see {@link Transaction.useNamespace}.
   *
   * Errors, of the calls of what this returns: ERR_INVALID_NAMESPACE; ERR_INVALID_OPTION at the
   * 101st namespace.
   *
   * @example const tasks = tx.useNamespace<Task>('tasks')
   */
  useNamespace<T = unknown>(name: string): AsyncTransactionNamespace<T>
}

/**
 * A namespace inside an async transaction: the methods of {@link AsyncNamespace}, which here see
 * and change what the transaction will commit; else as {@link TransactionNamespace}.
 */
export interface AsyncTransactionNamespace<T = unknown> extends Pick<AsyncNamespace<T>,
  'name' | 'get' | 'getEntry' | 'has' | 'getMany' | 'getAll' | 'listKeys' | 'count' |
  'setMany' | 'increment' | 'delete' | 'deleteMany' | 'clear'
> {
  /**
   * Writes a value at the commit.
   *
   * Errors: as of {@link Namespace.set}.
   *
   * @example await tx.useNamespace('tasks').set('t1', task, { ttl: 60_000 })
   */
  set(key: string, value: T, options?: SetOptions): Promise<void>
}

/**
 * A queue with promises. Made by {@link AsyncDataStore.useQueue}. Each method does what the one of
 * {@link Queue} does, and rejects with what that throws. Steps that are taken at the same time
 * share a commit.
 */
export interface AsyncQueue<T = unknown, R = unknown> {
  /** The queue's name. */
  readonly name: string

  /**
   * Adds a task; resolves with its id.
   *
   * Errors: as of {@link Queue.push}.
   *
   * @example const id = await pages.push({ url: 'https://example.org' })
   */
  push(item: T, options?: PushOptions): Promise<string>
  /**
   * Adds many tasks in one commit; resolves with their ids.
   *
   * Errors: as of {@link Queue.push}; then nothing was added.
   *
   * @example await pages.pushMany(urls.map((url) => ({ url })))
   */
  pushMany(items: Iterable<T>): Promise<string[]>
  /**
   * Takes a task now, or resolves with `undefined`. It sees what was pushed before on this thread,
   * awaited or not.
   *
   * @example const task = await pages.claim()
   */
  claim(): Promise<AsyncTask<T, R> | undefined>
  /**
   * Claims a task for each turn of a loop, and sleeps while there is none; see
   * {@link Queue.consume}. A claim that is on its way when the signal aborts may still bring a
   * task: it is the last one, and its lease is not renewed.
   *
   * Errors: `next()` rejects where a claim fails, and the iteration is over.
   *
   * @example
   * for await (const task of pages.consume()) {
   *   await task.complete(await fetchPage(task.item.url))
   * }
   */
  consume(options?: QueueWaitOptions): AsyncIterableIterator<AsyncTask<T, R>>
  /**
   * What the queue knows of a task; `undefined` where there is none with this id.
   *
   * @example const state = await pages.get(id)
   */
  get(id: string): Promise<TaskState<T, R> | undefined>
  /**
   * Tasks with one status in their order, or all; see {@link Queue.list}.
   *
   * @example const dead = await pages.list({ status: 'dead', limit: 10 })
   */
  list(options?: ListTasksOptions): Promise<TaskState<T, R>[]>
  /**
   * Results of the completed tasks by id; see {@link Queue.results}.
   *
   * @example const results = await pages.results()
   */
  results(): Promise<Record<string, R>>
  /**
   * How many tasks have each status.
   *
   * @example const { pending } = await pages.stats()
   */
  stats(): Promise<QueueStats>
  /**
   * Resolves when nothing is pending, delayed or claimed; see {@link Queue.drained}.
   *
   * @example await pages.drained()
   */
  drained(options?: QueueWaitOptions): Promise<void>
  /**
   * Makes every dead task pending again; resolves with how many.
   *
   * @example await pages.retryDead()
   */
  retryDead(): Promise<number>
  /**
   * Removes every task, whatever its status, and the results; resolves with how many tasks.
   *
   * @example await pages.clear()
   */
  clear(): Promise<number>
}

/** A task that this worker has claimed, with promises. */
export interface AsyncTask<T = unknown, R = unknown> {
  /** The task's id. */
  readonly id: string
  /** What was pushed. */
  readonly item: T
  /** 1 for the first claim, larger with each one. Also the fencing token; see {@link Task}. */
  readonly attempt: number
  /**
   * Makes the lease end so many milliseconds from the commit. Default: the queue's `lease`.
   *
   * Errors: ERR_LEASE_LOST.
   *
   * @example await task.renew(60000)
   */
  renew(ms?: number): Promise<void>
  /**
   * Finishes the task; see {@link Task.complete}.
   *
   * Errors: ERR_LEASE_LOST; those of the result.
   *
   * @example await task.complete({ bytes: 1024 })
   */
  complete(result?: R): Promise<void>
  /**
   * Gives the task back; see {@link Task.fail}.
   *
   * Errors: ERR_LEASE_LOST.
   *
   * @example await task.fail(new Error('no route'), { retryIn: 1000 })
   */
  fail(error: unknown, options?: FailOptions): Promise<void>
}

// ------------------------------------------------------------------------------------ the rest

/** Sizes, counts and processes of a store. */
export interface StoreStats {
  /** Namespaces with at least one live key. */
  namespaces: number
  /** Live keys in all namespaces. */
  keys: number
  /** Bytes of the file that hold data. */
  usedBytes: number
  /** Bytes inside the file that later writes will fill first. */
  freeBytes: number
  /** Bytes the store may grow to. */
  maxBytes: number
  /** Version of the last commit. */
  lastVersion: number
  /** The live processes that have the store open. */
  processes: ProcessStats[]
  /** Absent as long as nobody has written with durability 'relaxed'. */
  checkpoint?: CheckpointStats
  /** What the newest recovery from a power cut took back; absent if there was none. */
  recovery?: RecoveryStats
}

/** The newest commit of which relaxed writers know that it is on the disk. */
export interface CheckpointStats {
  /** Its version. */
  version: number
  /** When that was made sure. */
  at: Date
}

/** A store that has gone back to a checkpoint. */
export interface RecoveryStats {
  /** How many commits were lost at least. */
  commits: number
  /** The version of the commit that the store went back to. */
  version: number
  /** When that commit was known to be on the disk: what was written later may be lost. */
  since: Date
  /** When the store was recovered. */
  at: Date
}

/** A live process that has the store open. */
export interface ProcessStats {
  /** Its process id. */
  pid: number
  /** Its agent's name. */
  agent: string
  /** Age of its oldest snapshot in milliseconds; 0 when it holds none. */
  oldestSnapshotMs: number
}

/**
 * Everything that can go wrong. Wrong types are TypeError and numbers out of range RangeError, as
 * elsewhere in JavaScript; they have a `code` too, and answer `instanceof DataStoreError`. Made by
 * this package only.
 *
 * @example
 * try {
 *   tasks.set('t1', task, { ifVersion })
 * } catch (error) {
 *   if (error instanceof DataStoreError && error.code === 'ERR_CONFLICT') return retry()
 *   throw error
 * }
 */
export class DataStoreError extends Error {
  private constructor()
  /** Whether a value was thrown by this package, by any copy of it. */
  static [Symbol.hasInstance](value: unknown): value is DataStoreError
  /** Which kind of error; stable over releases. docs/errors.md has cause and remedy of each. */
  readonly code: ErrorCode
  /** Whether the same call may succeed when tried again, with nothing changed by the caller. */
  readonly retryable: boolean
}

/** The stable names of what can go wrong. */
export type ErrorCode =
  | 'ERR_INVALID_KEY'
  | 'ERR_INVALID_NAMESPACE'
  | 'ERR_INVALID_VALUE'
  | 'ERR_INVALID_OPTION'
  | 'ERR_KEY_TOO_LONG'
  | 'ERR_VALUE_TOO_LARGE'
  | 'ERR_VALUE_TOO_DEEP'
  | 'ERR_SCHEMA'
  | 'ERR_CONFLICT'
  | 'ERR_NOT_A_NUMBER'
  | 'ERR_ASYNC_TRANSACTION'
  | 'ERR_LEASE_LOST'
  | 'ERR_BUSY'
  | 'ERR_TIMEOUT'
  | 'ERR_CLOSED'
  | 'ERR_READ_ONLY'
  | 'ERR_NOT_FOUND'
  | 'ERR_STORE_FULL'
  | 'ERR_NO_SPACE'
  | 'ERR_IO'
  | 'ERR_CORRUPT'
  | 'ERR_FORMAT_VERSION'
  | 'ERR_UNSAFE_PATH'
  | 'ERR_UNSUPPORTED_FILESYSTEM'
  | 'ERR_PID_NAMESPACE'
  | 'ERR_DUPLICATE_COPY'

/**
 * The Standard Schema interface, version 1, that zod, valibot, arktype and others implement
 * (https://standardschema.dev, MIT; its authors invite copying the types).
 */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  /** The schema's properties. */
  readonly '~standard': {
    /** Version of the standard. */
    readonly version: 1
    /** Name of the schema library. */
    readonly vendor: string
    /** Checks a value; must answer synchronously here. */
    readonly validate: (
      value: unknown
    ) => StandardSchemaV1.Result<Output> | Promise<StandardSchemaV1.Result<Output>>
    /** The inferred types; never present at run time. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined
  }
}

export namespace StandardSchemaV1 {
  /** What a check answers: a value, or issues. */
  type Result<Output> =
    | { readonly value: Output; readonly issues?: undefined }
    | { readonly issues: ReadonlyArray<Issue> }
  /** Why a value was refused. */
  interface Issue {
    /** What is wrong. */
    readonly message: string
    /** Where in the value. */
    readonly path?: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined
  }
  /** The type a schema takes. */
  type InferInput<S extends StandardSchemaV1> = NonNullable<S['~standard']['types']>['input']
  /** The type a schema gives. */
  type InferOutput<S extends StandardSchemaV1> = NonNullable<S['~standard']['types']>['output']
}
