'use strict'

// The search agent. It watches the summaries as the others write them and searches now and then.
// When the runner says that all is done it searches once more, through the store and through what
// it has watched; the answers, which have to be the same, go into `demo:answers`.

const { deepStrictEqual } = require('node:assert')
const { dataStore, listNamespaces, useNamespace } = require('../..')
const { longestMs } = require('./stage')

const searchEvery = 1000
const answers = useNamespace('demo:answers')

async function run () {
  const { watched, searches } = await watchSummaries()
  const started = process.hrtime.bigint()
  const final = answer(storedSummaries())
  const milliseconds = Number(process.hrtime.bigint() - started) / 1e6
  deepStrictEqual(answer(watched), final, 'what was watched is not what is stored')
  answers.setMany({ final, milliseconds, meanwhile: { searches, summaries: watched.size } })
}

/** The summaries by file, as they were told, and how many searches there were meanwhile. */
async function watchSummaries () {
  const watched = new Map()
  const end = new AbortController()
  let expected
  let searches = 0
  useNamespace('demo').waitFor('finished', { timeout: longestMs }).then(({ summaries }) => {
    expected = summaries
    if (watched.size === expected) end.abort()
  })
  const { signal } = end
  for await (const change of dataStore.watch({ prefix: 'summary:', signal })) {
    // Too slow for the history: the current state follows.
    if (change.type === 'reset') watched.clear()
    else watched.set(fileOf(change.namespace, change.key), change.value)
    if (watched.size === expected) break
    if (watched.size % searchEvery === 0) {
      answer(storedSummaries())
      searches += 1
    }
  }
  return { watched, searches }
}

function fileOf (namespace, path) {
  const repository = namespace.slice('summary:'.length)
  return repository === '.' ? path : `${repository}/${path}`
}

/** The summaries of every repository, by file. */
function * storedSummaries () {
  for (const namespace of listNamespaces({ prefix: 'summary:' })) {
    for (const [path, summary] of Object.entries(useNamespace(namespace).getAll())) {
      yield [fileOf(namespace, path), summary]
    }
  }
}

/** Answers the three questions. */
function answer (summariesByFile) {
  const todos = []
  const imports = new Map()
  const functions = new Map()
  let summaries = 0
  for (const [file, summary] of summariesByFile) {
    summaries += 1
    if (summary.todos) todos.push([file, summary.todos])
    for (const module of summary.imports) if (!module.startsWith('.')) note(imports, module, file)
    for (const name of summary.functions) note(functions, name, file)
  }
  return {
    summaries,
    todos: todos.sort(([a], [b]) => a < b ? -1 : 1),
    imports: mostFiles(imports),
    functions: mostFiles(functions)
  }
}

function note (index, name, file) {
  if (index.has(name)) index.get(name).push(file)
  else index.set(name, [file])
}

/** The name with the most files, the first in order among equals, and how many there are. */
function mostFiles (index) {
  const [[name, files] = ['none', []]] = [...index].sort(([a, filesA], [b, filesB]) =>
    filesB.length - filesA.length || (a < b ? -1 : 1))
  const mentions = [...index.values()].reduce((sum, { length }) => sum + length, 0)
  return { name, files: files.sort(), names: index.size, mentions }
}

run()
