'use strict'

// The search agent. It searches all the while the others write, and once more when the runner says
// that they have finished; the answers go into `demo:answers`.

const { once } = require('node:events')
const { setTimeout: delay } = require('node:timers/promises')
const { listNamespaces, useNamespace } = require('../..')

const pauseMs = 200
const answers = useNamespace('demo:answers')

async function run () {
  const finish = once(process, 'message').then(() => true)
  let finished = false
  let seen = 0
  for (let searches = 1; !finished; searches += 1) {
    const { summaries } = search()
    if (summaries < seen) throw new Error(`saw ${seen} summaries, then only ${summaries}`)
    seen = summaries
    answers.set('meanwhile', { searches, summaries })
    // Watching for changes instead of looking again is not yet there.
    finished = await Promise.race([finish, delay(pauseMs, false)])
  }
  const started = process.hrtime.bigint()
  const final = search()
  const milliseconds = Number(process.hrtime.bigint() - started) / 1e6
  answers.setMany({ final, milliseconds })
  process.disconnect()
}

/** Goes through the summaries of every repository and answers the three questions. */
function search () {
  const todos = []
  const imports = new Map()
  const functions = new Map()
  const namespaces = listNamespaces({ prefix: 'summary:' })
  let summaries = 0
  for (const namespace of namespaces) {
    const repository = namespace.slice('summary:'.length)
    for (const [path, summary] of Object.entries(useNamespace(namespace).getAll())) {
      const file = repository === '.' ? path : `${repository}/${path}`
      summaries += 1
      if (summary.todos) todos.push([file, summary.todos])
      for (const module of summary.imports) if (!module.startsWith('.')) note(imports, module, file)
      for (const name of summary.functions) note(functions, name, file)
    }
  }
  return {
    namespaces: namespaces.length,
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
