// Compiled, never run: the declarations are right when this file compiles without an error.

import {
  check,
  DataStoreError,
  dataStore,
  listNamespaces,
  openStore,
  useNamespace,
  type AsyncDataStore,
  type AsyncNamespace,
  type AsyncQueue,
  type AsyncTask,
  type AsyncTransaction,
  type AsyncTransactionNamespace,
  type Change,
  type CheckProblemKind,
  type CheckReport,
  type DataStore,
  type Entry,
  type ErrorCode,
  type Namespace,
  type NamespaceOptions,
  type NoPromise,
  type OpenOptions,
  type Queue,
  type QueueStats,
  type RangeOptions,
  type SetOptions,
  type StandardSchemaV1,
  type StoreStats,
  type Task as QueueTask,
  type TaskState,
  type Transaction,
  type TransactionNamespace
} from 'commonhold'

type Same<A, B> =
  (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? true : false

/** Compiles only when the value's type is exactly `T`. */
function exactly<T>() {
  return <V>(_value: V, ..._differs: Same<V, T> extends true ? [] : [never]) => {}
}

interface Task {
  title: string
  done: boolean
}
declare const task: Task

// Opening

exactly<DataStore>()(openStore())
exactly<DataStore>()(openStore('/tmp/store'))
exactly<DataStore>()(
  openStore({ path: '/tmp/store', agent: 'a', maxSize: 1 << 30, readOnly: true })
)
exactly<DataStore>()(openStore({ durability: 'strict' }))
exactly<DataStore>()(dataStore)
// @ts-expect-error a number is no path
openStore(5)
// @ts-expect-error misspelled
openStore({ readonly: true })
exactly<DataStore>()(openStore({ durability: 'relaxed', flushInterval: 50 }))
exactly<Date | undefined>()(openStore().stats().recovery?.since)
exactly<number | undefined>()(openStore().stats().checkpoint?.version)
// @ts-expect-error not a mode
openStore({ durability: 'lazy' })
openStore({ busyTimeout: 5 })
// @ts-expect-error milliseconds
openStore({ busyTimeout: '5s' })
exactly<Promise<CheckReport>>()(check())
check().then(({ status, problems, version }) => {
  exactly<'sound' | 'damaged' | 'unchecked'>()(status)
  exactly<CheckProblemKind[]>()(problems.map(({ kind }) => kind))
  exactly<number | null>()(version)
})
// @ts-expect-error the path comes first
check({ path: '/tmp/store' })
const options: OpenOptions = {}
options.path = 'x'

// The store

const store = openStore()
exactly<string>()(store.path)
exactly<string>()(store.agent)
// @ts-expect-error read-only
store.path = 'elsewhere'
exactly<string[]>()(store.listNamespaces())
exactly<string[]>()(listNamespaces({ prefix: 'summary:' }))
// @ts-expect-error prefix is a string
store.listNamespaces({ prefix: 5 })
exactly<unknown>()(store.get('key'))
exactly<Task | undefined>()(store.get<Task>('key'))
exactly<number>()(store.get('key', 0) + 1)
exactly<number>()(store.get('key', 0))
exactly<number>()(store.get<number>('key', 0))
exactly<boolean>()(store.get('key', '') === 'text')
exactly<Task | null>()(store.get<Task, null>('key', null))
exactly<Task | null>()(store.get<Task | null>('key', null))
exactly<number>()(store.set('key', task, { ttl: 5 }))
exactly<boolean>()(store.delete('key', { ifVersion: 5 }))
exactly<boolean>()(store.has('key'))
exactly<boolean>()(store.delete('key'))
exactly<void>()(store.flush())
exactly<Promise<void>>()(store.backup('/tmp/copy', { compact: true }))
exactly<StoreStats>()(store.stats())
exactly<number>()(store.stats().processes.map((each) => each.oldestSnapshotMs)[0] ?? 0)
exactly<void>()(store.close())
exactly<void>()(store[Symbol.dispose]())
function scoped() {
  using inner = openStore()
  return inner.get('key')
}
exactly<() => unknown>()(scoped)

// A namespace of a type

const tasks = store.useNamespace<Task>('tasks')
exactly<Namespace<Task>>()(tasks)
exactly<Namespace<Task>>()(useNamespace<Task>('tasks'))
exactly<Namespace<unknown>>()(useNamespace('tasks'))
exactly<string>()(tasks.name)
exactly<Task | undefined>()(tasks.get('t1'))
exactly<Task | null>()(tasks.get('t1', null))
exactly<Task | number>()(tasks.get('t1', 0 as number))
exactly<Task | null>()(tasks.get<null>('t1', null))
exactly<unknown>()(useNamespace('untyped').get('key'))
exactly<any>()(useNamespace<any>('loose').get('key', 0))
exactly<boolean>()(tasks.has('t1'))
function orNull<T>(namespace: Namespace<T>): T | null {
  return namespace.get('key', null)
}
exactly<Task | null>()(orNull(tasks))
function orDefault<T>(fallback: T): T {
  return store.get('key', fallback)
}
exactly<Task>()(orDefault(task))
const anything: Namespace = tasks
exactly<Namespace>()(anything)
exactly<Record<string, Task>>()(tasks.getMany(['t1']))
exactly<Record<string, Task>>()(tasks.getMany(new Set(['t1'])))
exactly<Record<string, Task>>()(tasks.getAll())
exactly<string[]>()(tasks.listKeys())
exactly<number>()(tasks.count())
exactly<number>()(tasks.set('t1', task))
exactly<number>()(tasks.setMany({ t1: task }))
exactly<number>()(tasks.setMany([['t1', task]], { ttl: 5, metadata: { a: 1 } }))
exactly<number>()(tasks.setMany(new Map([['t1', task]])))
exactly<number>()(tasks.increment('n'))
exactly<number>()(tasks.increment('n', -2))
exactly<boolean>()(tasks.delete('t1', { ifVersion: 7 }))
exactly<number>()(tasks.deleteMany(['t1']))
exactly<number>()(tasks.clear({ prefix: 't' }))
// @ts-expect-error a Task has a title
tasks.set('t1', { done: true })
// @ts-expect-error keys are strings
tasks.get(1)
// @ts-expect-error misspelled
tasks.set('t1', task, { tll: 5 })
// @ts-expect-error many keys have many versions
tasks.setMany({ t1: task }, { ifVersion: 5 })
// @ts-expect-error delete has no ttl
tasks.delete('t1', { ttl: 5 })
// @ts-expect-error a single key is no list of keys
tasks.deleteMany(5)

// Update

exactly<Task | undefined>()(
  tasks.update('t1', (value, entry) => {
    exactly<Task | undefined>()(value)
    exactly<Entry<Task> | undefined>()(entry)
    return value && { ...value, done: true }
  })
)
exactly<boolean>()(tasks.update('t1', (value) => ({ title: 'x', ...value, done: true })).done)
// @ts-expect-error the function must be synchronous
tasks.update('t1', async () => task)
// @ts-expect-error the result must be a Task
tasks.update('t1', () => 5)

// Entries

const entry = tasks.getEntry('t1')
exactly<Entry<Task> | undefined>()(entry)
if (entry !== undefined) {
  exactly<string>()(entry.key)
  exactly<Task>()(entry.value)
  exactly<number>()(entry.version)
  exactly<Date>()(entry.createdAt)
  exactly<Date>()(entry.updatedAt)
  exactly<string>()(entry.createdBy)
  exactly<string>()(entry.updatedBy)
  exactly<Date | undefined>()(entry.expiresAt)
  exactly<Readonly<Record<string, unknown>>>()(entry.metadata)
  // @ts-expect-error read-only
  entry.version = 5
}

// Iterators

const range: RangeOptions = { prefix: 'a', start: 'a', end: 'b', reverse: true, limit: 5 }
exactly<IterableIterator<string>>()(tasks.keys(range))
exactly<IterableIterator<Task>>()(tasks.values(range))
exactly<IterableIterator<[string, Task]>>()(tasks.entries(range))
for (const [key, value] of tasks) {
  exactly<string>()(key)
  exactly<Task>()(value)
}
exactly<Map<string, Task>>()(new Map(tasks))
// @ts-expect-error the bounds are strings
tasks.keys({ start: 5 })
const set: SetOptions = { ttl: 1, metadata: {}, ifVersion: 0 }
tasks.set('t1', task, set)

// A schema gives the type

declare const plain: StandardSchemaV1<Task>
declare const transforming: StandardSchemaV1<string, Date>
exactly<Namespace<Task, Task>>()(store.useNamespace('tasks', { schema: plain }))
exactly<Namespace<Task, Task>>()(useNamespace('tasks', { schema: plain }))
exactly<Namespace<Task>>()(store.useNamespace<Task>('tasks', { schema: plain }))
const dates = store.useNamespace('dates', { schema: transforming })
exactly<Date | undefined>()(dates.get('d'))
dates.set('d', '2030-01-31')
// @ts-expect-error the schema takes a string
dates.set('d', new Date())
exactly<Date | undefined>()(dates.update('d', (value) => value?.toISOString()))
// @ts-expect-error the schema gives another type than the one named
store.useNamespace<Task>('tasks', { schema: transforming })
// @ts-expect-error not a schema
store.useNamespace('tasks', { schema: {} })
const namespaceOptions: NamespaceOptions<Task> = { schema: plain }
exactly<Namespace<Task>>()(store.useNamespace('tasks', namespaceOptions))

// Watching

async function watches(signal: AbortSignal) {
  exactly<Promise<CheckReport>>()(check('/tmp/store', { signal }))
  const tasks = store.useNamespace<Task>('tasks')
  exactly<AsyncIterableIterator<Change<Task>>>()(tasks.watch())
  for await (const change of tasks.watch({ prefix: 'a', since: 5, signal })) {
    exactly<boolean>()(change.last)
    exactly<number>()(change.version)
    if (change.type === 'set') exactly<Task>()(change.value)
    if (change.type === 'clear') exactly<string | undefined>()(change.prefix)
    if (change.type === 'expire') exactly<string>()(change.key)
    // @ts-expect-error a reset names no key
    if (change.type === 'reset') change.key
  }
  exactly<AsyncIterableIterator<Change>>()(store.watch({ prefix: 'pipeline:' }))
  // @ts-expect-error a store has no keys
  store.watch({ key: 'k' })
  // @ts-expect-error a version is a number
  tasks.watch({ since: '5' })
  exactly<Task>()(await tasks.waitFor('t1', { predicate: (task) => task.done, timeout: 5, signal }))
  // @ts-expect-error tasks have no such property
  tasks.waitFor('t1', { predicate: (task) => task.missing })
}
openStore({ history: { maxBytes: 1 << 20, maxAge: 60_000 } })
// @ts-expect-error misspelled
openStore({ history: { maxByte: 1 } })

// Errors

declare const thrown: unknown
if (thrown instanceof DataStoreError) {
  exactly<ErrorCode>()(thrown.code)
  exactly<boolean>()(thrown.retryable)
  exactly<string>()(thrown.message)
  thrown satisfies Error
  // @ts-expect-error read-only
  thrown.code = 'ERR_IO'
}
const code: ErrorCode = 'ERR_CONFLICT'
// @ts-expect-error no such code
const unknownCode: ErrorCode = 'ERR_WHATEVER'
// @ts-expect-error a code of what is not built yet
const laterCode: ErrorCode = 'ERR_QUOTA'
// @ts-expect-error errors are made by the package
const made = new DataStoreError()

export { code, consumes, laterCode, made, namespaceOptions, unknownCode, watches }

// Queues

const pages = store.useQueue<{ url: string }, number>('pages', { lease: 1000, maxAttempts: 3 })
exactly<Queue<{ url: string }, number>>()(pages)
exactly<Queue<unknown, unknown>>()(dataStore.useQueue('pages'))
exactly<string>()(pages.push({ url: 'x' }, { id: 'x', delay: 5 }))
exactly<string[]>()(pages.pushMany([{ url: 'x' }]))
exactly<QueueTask<{ url: string }, number> | undefined>()(pages.claim())
exactly<TaskState<{ url: string }, number> | undefined>()(pages.get('x'))
exactly<TaskState<{ url: string }, number>[]>()(pages.list({ status: 'dead', limit: 1 }))
exactly<Record<string, number>>()(pages.results())
exactly<QueueStats>()(pages.stats())
exactly<Promise<void>>()(pages.drained())
exactly<number>()(pages.retryDead())
exactly<number>()(pages.clear())
async function consumes(signal: AbortSignal) {
  exactly<Promise<void>>()(pages.drained({ signal }))
  for await (const page of pages.consume({ signal })) {
    exactly<{ url: string }>()(page.item)
    exactly<number>()(page.attempt)
    page.renew()
    page.complete(1)
    page.fail(new Error('x'), { retryIn: 5 })
    // @ts-expect-error not a result
    page.complete('x')
    // @ts-expect-error read only
    page.attempt = 2
  }
}
// @ts-expect-error not an item
pages.push({ uri: 'x' })
// @ts-expect-error misspelled
store.useQueue('pages', { leas: 1 })
// @ts-expect-error not a status
pages.list({ status: 'done' })

// Transactions

exactly<number>()(dataStore.transaction((tx) => {
  exactly<Transaction>()(tx)
  const tasks = tx.useNamespace<Task>('tasks')
  exactly<TransactionNamespace<Task>>()(tasks)
  exactly<Task | undefined>()(tasks.get('t1'))
  exactly<Task | number>()(tasks.get('t1', 5))
  exactly<Entry<Task> | undefined>()(tasks.getEntry('t1'))
  exactly<Record<string, Task>>()(tasks.getAll({ prefix: 't', limit: 5 }))
  exactly<void>()(tasks.set('t1', task, { ttl: 5, ifVersion: 0 }))
  exactly<boolean>()(tasks.delete('t1', { ifVersion: 5 }))
  // @ts-expect-error a task is no number
  tasks.set('t1', 5)
  // @ts-expect-error there is no update in a transaction: get and set do
  tasks.update('t1', (before) => before)
  // @ts-expect-error a transaction has no schema
  tx.useNamespace('tasks', { schema: {} })
  return tasks.setMany({ t1: task }) + tasks.deleteMany(['t2']) + tasks.clear({ prefix: 'x' })
}))
exactly<void>()(dataStore.transaction(() => {}))
exactly<string>()(dataStore.transaction(() => 'done'))
exactly<Task | undefined>()(dataStore.transaction((tx) => tx.useNamespace<Task>('t').get('t1')))
exactly<unknown>()(dataStore.transaction((tx) => tx.useNamespace('t').get('t1')))
exactly<any>()(dataStore.transaction((): any => 5))
exactly<number>()(dataStore.transaction<number>(() => 5))
// @ts-expect-error an async function is no transaction
dataStore.transaction(async () => {})
// @ts-expect-error nor is one that returns a promise
dataStore.transaction((tx) => Promise.resolve(tx.useNamespace('t').count()))
// @ts-expect-error also not where it does so only sometimes
dataStore.transaction((tx) => tx.useNamespace('t').has('t1') ? Promise.resolve(5) : 5)
const traced = <R>(fn: (tx: Transaction) => NoPromise<R>): R => dataStore.transaction<R>(fn)
exactly<number>()(traced(() => 5))

// Promises

const later = dataStore.async
exactly<AsyncDataStore>()(later)
exactly<Promise<void>>()(later.close())
exactly<Promise<void>>()(later.flush())
exactly<Promise<void>>()(later.backup('copy', { compact: true }))
exactly<Promise<StoreStats>>()(later.stats())
exactly<Promise<string[]>>()(later.listNamespaces({ prefix: 'a' }))
exactly<Promise<number | undefined>>()(later.get<number>('k'))
exactly<Promise<number>>()(later.get('k', 5))
exactly<Promise<number>>()(later.set('k', 1, { ttl: 5 }))
exactly<Promise<boolean>>()(later.has('k'))
exactly<Promise<boolean>>()(later.delete('k', { ifVersion: 5 }))
exactly<AsyncIterableIterator<Change>>()(later.watch({ prefix: 'a' }))

const laterTasks = later.useNamespace<Task>('tasks')
exactly<AsyncNamespace<Task>>()(laterTasks)
exactly<Promise<Task | undefined>>()(laterTasks.get('t1'))
exactly<Promise<Task | number>>()(laterTasks.get('t1', 5))
exactly<Promise<Entry<Task> | undefined>>()(laterTasks.getEntry('t1'))
exactly<Promise<Record<string, Task>>>()(laterTasks.getMany(['t1']))
exactly<Promise<Record<string, Task>>>()(laterTasks.getAll({ limit: 5 }))
exactly<Promise<string[]>>()(laterTasks.listKeys())
exactly<Promise<number>>()(laterTasks.count())
exactly<AsyncIterableIterator<[string, Task]>>()(laterTasks[Symbol.asyncIterator]())
exactly<AsyncIterableIterator<string>>()(laterTasks.keys())
exactly<AsyncIterableIterator<Task>>()(laterTasks.values())
exactly<AsyncIterableIterator<Change<Task>>>()(laterTasks.watch({ key: 't1' }))
exactly<Promise<Task>>()(laterTasks.waitFor('t1', { timeout: 5 }))
exactly<Promise<number>>()(laterTasks.set('t1', task, { ifVersion: 0 }))
exactly<Promise<number>>()(laterTasks.setMany([['t1', task]]))
exactly<Promise<Task>>()(laterTasks.update('t1', async () => task))
exactly<Promise<Task>>()(laterTasks.update('t1', () => task))
exactly<Promise<Task | undefined>>()(laterTasks.update('t1', async (before) => before))
exactly<Promise<Task | undefined>>()(laterTasks.update('t1', () => undefined))
exactly<Promise<number>>()(laterTasks.increment('n', 5))
exactly<Promise<boolean>>()(laterTasks.delete('t1'))
exactly<Promise<number>>()(laterTasks.deleteMany(['t1']))
exactly<Promise<number>>()(laterTasks.clear({ prefix: 't' }))
// @ts-expect-error a task is no number
laterTasks.set('t1', 5)
// @ts-expect-error misspelled
laterTasks.set('t1', task, { tll: 5 })
// @ts-expect-error iterated with for await
for (const entry of laterTasks) console.log(entry)

const laterPages = later.useQueue<{ url: string }, number>('pages', { lease: 60000 })
exactly<AsyncQueue<{ url: string }, number>>()(laterPages)
exactly<Promise<string>>()(laterPages.push({ url: 'x' }, { delay: 5 }))
exactly<Promise<string[]>>()(laterPages.pushMany([{ url: 'x' }]))
exactly<Promise<AsyncTask<{ url: string }, number> | undefined>>()(laterPages.claim())
exactly<Promise<TaskState<{ url: string }, number> | undefined>>()(laterPages.get('id'))
exactly<Promise<TaskState<{ url: string }, number>[]>>()(laterPages.list({ status: 'dead' }))
exactly<Promise<Record<string, number>>>()(laterPages.results())
exactly<Promise<QueueStats>>()(laterPages.stats())
exactly<Promise<void>>()(laterPages.drained())
exactly<Promise<number>>()(laterPages.retryDead())
exactly<Promise<number>>()(laterPages.clear())
async function consumesLater(signal: AbortSignal) {
  for await (const page of laterPages.consume({ signal })) {
    exactly<{ url: string }>()(page.item)
    exactly<Promise<void>>()(page.renew())
    exactly<Promise<void>>()(page.complete(1))
    exactly<Promise<void>>()(page.fail(new Error('x'), { retryIn: 5 }))
    // @ts-expect-error not a result
    page.complete('x')
  }
}

exactly<Promise<number>>()(later.transaction(async (tx) => {
  exactly<AsyncTransaction>()(tx)
  const tasks = tx.useNamespace<Task>('tasks')
  exactly<AsyncTransactionNamespace<Task>>()(tasks)
  exactly<Promise<Task | undefined>>()(tasks.get('t1'))
  exactly<Promise<void>>()(tasks.set('t1', task, { ttl: 5 }))
  // @ts-expect-error there is no update in a transaction: get and set do
  tasks.update('t1', (before) => before)
  return await tasks.setMany({ t1: task }) + await tasks.clear()
}))
exactly<Promise<string>>()(later.transaction(() => 'done'))
