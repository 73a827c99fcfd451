'use strict'

// Three agents ingest a source tree into the store, three summarise it, and one searches it all
// the while, each in a process of its own. One more is killed while it holds a task, and another
// does the task. At the end everything is checked against the disk.

const { realpathSync, readdirSync, statSync } = require('node:fs')
const { join, resolve } = require('node:path')
const { runExample, message, check, Failure } = require('../harness')
const { expectedPaths, readDisk } = require('./disk')
const { cutIntoGroups } = require('./groups')
const { showProgress } = require('./progress')
const { longestMs, queueOf, stages } = require('./stage')
const { listFiles } = require('./tree')

const usage = `Usage: npm run demo -- [directory]

Agents ingest, summarise and search the files below that directory, by default the installed
dependencies of this project. Nothing in it is changed.`

const agentsPerStage = 3
const refreshMs = 100
const number = new Intl.NumberFormat('en-US', { maximumFractionDigits: 1 })
const count = (n, one, many = `${one}s`) => `${number.format(n)} ${n === 1 ? one : many}`
const megabytes = bytes => `${number.format(bytes / 1e6)} MB`
const line = (title, text) => console.log(`${title.padEnd(11)} ${text}`)

function main (args) {
  const root = directoryToIngest(args)
  runExample('demo', async ({ store, start, directory }) => {
    const tree = listFiles(root, realpathSync(directory))
    if (tree.files.length === 0) throw new Failure(`there are no files to ingest in ${root}`)
    const repositories = new Set(tree.files.map(({ repository }) => repository)).size
    line('agents', `${agentsPerStage} processes ingest, ${agentsPerStage} summarise, 1 searches, ` +
      'all at once; 1 is killed')
    line('store', `${store.path}, shared by all of them, removed at the end`)
    line('tree', `${count(tree.files.length, 'file')} of ` +
      `${count(repositories, 'package')} in ${root}`)
    if (tree.skipped.size) line('', `left out besides: ${listed(tree.skipped)}`)

    const { seconds, lost } = await ingestAndSummarise(store, start, root, tree.files)
    const totals = storedCounts(store)
    printRetried(store, lost)
    printSkipped(skippedFiles(store), tree.files.length)
    printCounts(totals, seconds)
    printStore(store)
    const answers = store.useNamespace('demo:answers').getAll()
    printAnswers(answers)

    line('check', 'reading every file again, without the store')
    checkAgainstDisk(store, root, { exclude: realpathSync(directory), tree, totals, answers })
    return `${count(totals.files, 'file')}, ${2 * agentsPerStage + 2} agents, 1 of them killed; ` +
      'every byte, every count and 3 answers are as on the disk'
  }, { limitMs: longestMs })
}

/** The directory named by the user, who may have called npm from elsewhere. */
function directoryToIngest (args) {
  if (args[0] === '--help' || args[0] === '-h') {
    console.log(usage)
    process.exit(0)
  }
  if (args.length > 1) refuse(`one directory, not ${args.length}: ${args.join(' ')}`)
  const [argument] = args
  const fallback = join(__dirname, '..', '..', 'node_modules')
  const path = argument === undefined ? fallback : resolve(process.env.INIT_CWD ?? '.', argument)
  try {
    readdirSync(path)
    return realpathSync(path)
  } catch (error) {
    const reasons = {
      ENOENT: 'does not exist',
      ENOTDIR: 'is not a directory',
      EACCES: 'may not be read'
    }
    const reason = reasons[error.code] ?? error.message
    refuse(`${path} ${reason}`)
  }
}

function refuse (reason) {
  console.error(`${reason}\n\n${usage}`)
  process.exit(1)
}

/**
 * Runs both stages, a search agent beside them, and kills one of the agents that ingest. Returns
 * the seconds until each stage had ended, and the id of the task of the killed agent.
 */
async function ingestAndSummarise (store, start, root, files) {
  const groups = cutIntoGroups(files)
  const ids = queueOf(store, 'ingest').pushMany(groups)
  const agent = (script, name) => start(join(__dirname, `${script}.js`), { name, args: [root] })
  const lost = await killOneThatHoldsATask(start, root)
  const started = Date.now()
  const names = Array.from({ length: agentsPerStage }, (_, i) => i + 1)
  const agents = stages.flatMap(stage => names.map(i => agent(stage, `${stage}-${i}`)))
  // One that fails is told of at once, rather than waited for.
  const ended = Promise.all([...agents, agent('search')].map(agent => agent.succeeded()))
  const stopProgress = progressOf(store, files.length)
  const seconds = {}
  try {
    for (const stage of stages) {
      await Promise.race([queueOf(store, stage).drained(), ended])
      seconds[stage] = (Date.now() - started) / 1000
    }
    const results = Object.values(queueOf(store, 'summarise').results())
    const summaries = results.reduce((sum, result) => sum + result.summaries, 0)
    store.useNamespace('demo').set('finished', { summaries })
    await ended
  } finally {
    stopProgress()
  }
  check('tasks done', stages.map(stage => queueOf(store, stage).stats().completed),
    stages.map(() => ids.length))
  return { seconds, lost }
}

/** Kills an agent that has done a task but not yet said so; returns the id of the task. */
async function killOneThatHoldsATask (start, root) {
  const agent = start(join(__dirname, 'ingest.js'), { name: 'ingest-0', args: [root, 'doomed'] })
  const { id } = await message(agent, 'holds')
  agent.stop()
  await agent.ended
  return id
}

/** Shows how far the agents of both stages are until the function that it returns is called. */
function progressOf (store, files) {
  const progress = showProgress(stages, files)
  const show = () => {
    for (const stage of stages) {
      const shares = new Map()
      for (const { agent, files } of Object.values(queueOf(store, stage).results())) {
        shares.set(agent, (shares.get(agent) ?? 0) + files)
      }
      const sum = [...shares.values()].reduce((total, files) => total + files, 0)
      progress.update(stage, sum, `per agent ${[...shares.values()].join(' + ')}`)
    }
  }
  const timer = setInterval(show, refreshMs)
  return () => {
    clearInterval(timer)
    show()
    progress.stop()
  }
}

/** The sums of what the agents counted in `meta:*`. */
function storedCounts (store) {
  const totals = { files: 0, bytes: 0, lines: 0 }
  for (const name of store.listNamespaces({ prefix: 'meta:' })) {
    for (const counts of store.useNamespace(name).values()) {
      for (const field of Object.keys(totals)) totals[field] += counts[field]
    }
  }
  return totals
}

/** How many files the agents left out, by reason. */
function skippedFiles (store) {
  const reasons = new Map()
  for (const { skipped } of Object.values(queueOf(store, 'ingest').results())) {
    for (const [reason, n] of Object.entries(skipped)) {
      reasons.set(reason, (reasons.get(reason) ?? 0) + n)
    }
  }
  return reasons
}

/** The task of the agent that was killed, which another has done. */
function printRetried (store, id) {
  const { status, attempt, result } = queueOf(store, 'ingest').get(id)
  check('the task of the killed agent', { status, isRetried: attempt > 1 },
    { status: 'completed', isRetried: true })
  line('killed', `ingest-0, with ${count(result.files, 'file')} in hand; ${result.agent} did ` +
    `${result.files === 1 ? 'it' : 'them'} again (attempt ${attempt})`)
}

function printCounts ({ files, bytes }, seconds) {
  const rate = time =>
    `${number.format(time)} s: ${number.format(Math.round(files / time))} files/s`
  line('ingested', `${count(files, 'file')}, ${megabytes(bytes)} in ${rate(seconds.ingest)}, ` +
    `${megabytes(bytes / seconds.ingest)}/s`)
  line('summarised', `${count(files, 'file')} in ${rate(seconds.summarise)}, meanwhile`)
}

function printSkipped (reasons, files) {
  const total = [...reasons.values()].reduce((sum, n) => sum + n, 0)
  const detail = total ? `: ${listed(reasons)}` : ''
  line('skipped', `${number.format(total)} of ${count(files, 'file')}${detail}`)
}

function listed (reasons) {
  return [...reasons].map(([reason, n]) => `${reason} (${number.format(n)})`).join(', ')
}

function printStore (store) {
  const { namespaces, keys } = store.stats()
  const onDisk = readdirSync(store.path).reduce((sum, name) =>
    sum + statSync(join(store.path, name)).blocks * 512, 0)
  line('size', `${megabytes(onDisk)} on disk, ${count(namespaces, 'namespace')}, ` +
    count(keys, 'key'))
}

function printAnswers ({ final, milliseconds, meanwhile }) {
  line('search', `${count(meanwhile.summaries, 'summary', 'summaries')} watched as they came, ` +
    `${count(meanwhile.searches, 'search', 'searches')} meanwhile, ` +
    `then all in ${number.format(milliseconds)} ms`)
  const marks = final.todos.reduce((sum, [, n]) => sum + n, 0)
  const most = ({ name, files, names }) =>
    `${name}, ${count(files.length, 'file')} (of ${count(names, 'name')})`
  line('', `TODO or FIXME: ${count(marks, 'mark')} in ${count(final.todos.length, 'file')}`)
  line('', `module imported by most files: ${most(final.imports)}`)
  line('', `function defined in most files: ${most(final.functions)}`)
}

/** Compares the store with the disk: the files byte for byte, the counts, the answers. */
function checkAgainstDisk (store, root, { exclude, tree, totals, answers }) {
  const unstorable = new Set(tree.unstorable)
  const paths = expectedPaths(root, exclude).filter(path => !unstorable.has(path))
  const stored = locateFiles(store)
  check('files on the disk but not in the store', paths.filter(path => !stored.has(path)), [])
  check('files in the store but not on the disk', stored.size - paths.length, 0)

  const different = []
  const disk = readDisk(root, paths, (path, data) => {
    const { namespace, key } = stored.get(path)
    const file = store.useNamespace(namespace).get(key)
    if (!data.equals(Buffer.from(file.text ?? file.data))) different.push(path)
  })
  check('files that differ from the disk', different, [])
  check('counts', totals, disk.counts)
  for (const question of ['todos', 'imports', 'functions']) {
    check(`answer about ${question}`, answers.final[question], disk[question])
  }
  check('summaries', answers.final.summaries, totals.files)
}

/** Where the store keeps each file, by its path below the root. */
function locateFiles (store) {
  const places = new Map()
  for (const namespace of store.listNamespaces({ prefix: 'files:' })) {
    const repository = namespace.slice('files:'.length)
    for (const key of store.useNamespace(namespace).keys()) {
      places.set(repository === '.' ? key : `${repository}/${key}`, { namespace, key })
    }
  }
  return places
}

main(process.argv.slice(2))
