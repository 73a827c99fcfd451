'use strict'

// The documents that are stored: cut from real source text, because one repeated character or
// random bytes would flatter compression and branch prediction. The text comes from the installed
// peers, whose versions the lock file pins, so that every machine cuts the same documents.

const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')

const CORPUS_BYTES = 4 * 1024 * 1024
const CORPUS_FILE_BYTES = 64 * 1024
const FILE_TEXT_BYTES = 8 * 1024
const VECTOR_NUMBERS = 1536
const TABLE_ROWS = 50
const SEED = 20261122

/** How many different documents of a kind a row stores; large ones are fewer. */
const COUNTS = { small: 20_000, doc: 20_000, file: 1_000, table: 1_000, vector: 200, float32: 200 }

/** A generator of numbers in [0, 1) that is the same in every process (mulberry32). */
function randomFrom (seed) {
  let state = seed
  return () => {
    state = (state + 0x6D2B79F5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

function * sourceFiles (directory) {
  const entries = fs.readdirSync(directory, { withFileTypes: true })
  entries.sort((a, b) => (a.name < b.name ? -1 : 1))
  for (const entry of entries) {
    const full = path.join(directory, entry.name)
    if (entry.isDirectory() && entry.name !== 'build') yield * sourceFiles(full)
    else if (entry.isFile() && /\.(js|ts|md|c|cpp|h)$/.test(entry.name)) yield full
  }
}

let corpus

/** Lines of real text with the names of the files they stand in. */
function readCorpus () {
  if (corpus) return corpus
  const root = path.join(__dirname, 'node_modules')
  const lines = []
  const files = []
  let bytes = 0
  for (const file of sourceFiles(fs.existsSync(root) ? root : __dirname)) {
    if (bytes > CORPUS_BYTES) break
    const text = fs.readFileSync(file, 'utf8').slice(0, CORPUS_FILE_BYTES)
    files.push(path.relative(__dirname, file).split(path.sep).join('/'))
    bytes += text.length
    // Minified files have one line of many kilobytes, which nobody stores as a title.
    lines.push(...text.split('\n').filter(line => line.length < 200))
  }
  const titles = lines.map(line => line.trim()).filter(line => line.length > 40)
  const hash = crypto.createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 16)
  corpus = { lines, titles, files, hash }
  return corpus
}

const list = (length, make) => Array.from({ length }, (_, index) => make(index))

/** A string of its own: a slice would keep the whole corpus and be slower to encode. */
const flat = text => Buffer.from(text.toWellFormed()).toString()

const makers = {
  small: (index, pick) => ({
    stage: pick(['queued', 'fetched', 'summarized', 'published']),
    timestamp: 1_790_000_000_000 + index * 137
  }),

  doc: (index, pick, random) => ({
    id: `task-${String(index).padStart(6, '0')}`,
    status: pick(['pending', 'running', 'done', 'failed']),
    agent: `worker-${index % 7}`,
    createdAt: 1_790_000_000_000 + index * 137,
    attempts: index % 4,
    confidence: Math.round(random() * 1e6) / 1e6,
    title: flat(pick(readCorpus().titles).slice(0, 50)),
    tags: [pick(['parser', 'cache', 'network']), pick(['bug', 'feature']), pick(['p1', 'p2'])],
    result: {
      file: pick(readCorpus().files),
      lines: [index % 900, (index % 900) + 40],
      summary: flat(pick(readCorpus().titles).slice(0, 60)),
      ok: random() < 0.9
    }
  }),

  file: (index, pick, random) => {
    const { lines, files } = readCorpus()
    let at = Math.floor(random() * lines.length)
    let text = ''
    while (text.length < FILE_TEXT_BYTES) text += lines[at++ % lines.length] + '\n'
    return { path: pick(files), language: 'javascript', text: flat(text) }
  },

  table: (index, pick, random) => list(TABLE_ROWS, row => ({
    row,
    name: flat(pick(readCorpus().titles).slice(0, 40)),
    amount: Math.round(random() * 1e8) / 100,
    paid: random() < 0.5
  })),

  vector: (index, pick, random) => ({
    id: `chunk-${index}`,
    model: 'embedding-1536',
    values: list(VECTOR_NUMBERS, () => random() * 2 - 1)
  }),

  float32: (index, pick, random) =>
    Float32Array.from(list(VECTOR_NUMBERS, () => random() * 2 - 1))
}

/** The entries of a kind as [key, value], in byte order of keys, the same in every process. */
function makeEntries (kind, count = COUNTS[kind]) {
  const random = randomFrom(SEED)
  const pick = choices => choices[Math.floor(random() * choices.length)]
  const key = index => `${kind}:${String(index).padStart(6, '0')}`
  return list(count, index => [key(index), makers[kind](index, pick, random)])
}

/** Keys like the paths of a source tree, `count` of them in byte order under `roots` roots. */
function makePathKeys (count, roots) {
  const { files } = readCorpus()
  const perRoot = count / roots
  const keys = list(count, index => {
    const root = String(Math.floor(index / perRoot)).padStart(2, '0')
    const file = files[index % files.length].replace(/^node_modules\//, '')
    return `repository-${root}/${path.posix.dirname(file)}/${index}-${path.posix.basename(file)}`
  })
  return keys.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

/** The same list in an order that no cache line or cursor can guess. */
function shuffle (list) {
  const random = randomFrom(SEED + 1)
  const result = list.slice()
  for (let i = result.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1))
    const kept = result[i]
    result[i] = result[j]
    result[j] = kept
  }
  return result
}

/** What was stored, for the report. */
function describeDocuments () {
  const sizes = {}
  for (const kind of Object.keys(makers)) {
    const values = makeEntries(kind, 100).map(([, value]) => value)
    const bytes = values.map(value => value.byteLength ?? Buffer.byteLength(JSON.stringify(value)))
    sizes[kind] = Math.round(bytes.reduce((sum, size) => sum + size) / bytes.length)
  }
  return { seed: SEED, corpus: readCorpus().hash, counts: COUNTS, averageJsonBytes: sizes }
}

module.exports = { makeEntries, makePathKeys, shuffle, randomFrom, describeDocuments }
