'use strict'

// Answers the demo's questions by plainly reading the files, without the store and without the
// code that filled it. Slower and simpler on purpose: it is what the answers are checked against.

const { lstatSync, readdirSync, readFileSync } = require('node:fs')
const { join } = require('node:path')

/**
 * Reads every file of `paths` below `root`; returns the counts and the three answers. `inspect`
 * gets the bytes of each.
 */
function readDisk (root, paths, inspect) {
  const todos = []
  const imports = new Map()
  const functions = new Map()
  const counts = { files: paths.length, bytes: 0, lines: 0 }
  for (const path of paths) {
    const data = readFileSync(join(root, path))
    counts.bytes += data.length
    inspect(path, data)
    const text = data.toString('utf8')
    if (!Buffer.from(text).equals(data)) continue
    counts.lines += text === '' ? 0 : text.replace(/\n$/, '').split('\n').length
    const marks = text.split(/\W+/).filter(word => word === 'TODO' || word === 'FIXME').length
    if (marks) todos.push([path, marks])
    for (const name of importedModules(text)) {
      if (name[0] !== '.') add(imports, name, path)
    }
    for (const name of definedFunctions(text)) add(functions, name, path)
  }
  todos.sort(byFirst)
  return { counts, todos, imports: longest(imports), functions: longest(functions) }
}

function add (index, name, path) {
  if (!index.has(name)) index.set(name, [])
  index.get(name).push(path)
}

const byFirst = ([a], [b]) => a < b ? -1 : 1

/** Paths below `root` that the demo should have stored, in order: no links, no large binaries. */
function expectedPaths (root, exclude) {
  const paths = []
  const walk = directory => {
    for (const entry of readdirSync(join(root, directory), { withFileTypes: true })) {
      const path = directory + entry.name
      if (entry.isDirectory() && join(root, path) !== exclude) tryTo(() => walk(`${path}/`))
      if (entry.isFile() && isWanted(join(root, path))) paths.push(path)
    }
  }
  walk('')
  return paths.sort()
}

function isWanted (file) {
  return tryTo(() => {
    const { size } = lstatSync(file)
    if (size > 32 * 2 ** 20) return false
    return !readFileSync(file).subarray(0, 8192).includes(0) || size <= 2 ** 18
  })
}

/** What cannot be read was skipped by the agents, too. */
function tryTo (read) {
  try {
    return read()
  } catch (error) {
    if (error.syscall) return undefined
    throw error
  }
}

/** Every 'name' or "name" that stands behind from, import or require. */
function importedModules (text) {
  const names = new Set()
  for (let open = 0; open < text.length; open += 1) {
    if (text[open] !== '"' && text[open] !== "'") continue
    const word = wordBefore(text, open)
    if (word !== 'from' && word !== 'import' && word !== 'require') continue
    let close = open + 1
    while (close < text.length && !/['"\s]/.test(text[close])) close += 1
    const name = text.slice(open + 1, close)
    if (text[close] === text[open] && name.length > 0 && name.length <= 200) names.add(name)
  }
  return names
}

/** The word before a position, over blanks and one parenthesis. */
function wordBefore (text, position) {
  const back = (from, test) => {
    let at = from
    while (at > 0 && test.test(text[at - 1])) at -= 1
    return at
  }
  let end = back(position, /\s/)
  if (position - end > 20) return ''
  if (text[end - 1] === '(') {
    const paren = end - 1
    end = back(paren, /\s/)
    if (paren - end > 20) return ''
  }
  return text.slice(back(end, /[\w$]/), end)
}

/** Every name between a keyword that defines a function and its parenthesis. */
function definedFunctions (text) {
  const names = new Set()
  for (const keyword of ['function', 'fn', 'func', 'def']) {
    for (let at = text.indexOf(keyword); at !== -1; at = text.indexOf(keyword, at + 1)) {
      if (at > 0 && /[\w$]/.test(text[at - 1])) continue
      const blank = skip(text, at + keyword.length, /[ \t]/)
      const start = text[blank] === '*' ? skip(text, blank + 1, /[ \t]/) : blank
      const end = skip(text, start, /[\w$]/)
      const last = skip(text, end, /[ \t]/)
      const isName = start > at + keyword.length && end > start && !/\d/.test(text[start])
      if (isName && (text[last] === '(' || text[last] === '<')) names.add(text.slice(start, end))
    }
  }
  return names
}

function skip (text, from, test) {
  let at = from
  while (at < text.length && test.test(text[at])) at += 1
  return at
}

function longest (index) {
  const best = { name: 'none', files: [], names: 0, mentions: 0 }
  for (const [name, files] of [...index].sort(byFirst)) {
    if (files.length > best.files.length) Object.assign(best, { name, files: files.sort() })
    best.names += 1
    best.mentions += files.length
  }
  return best
}

module.exports = { expectedPaths, readDisk }
