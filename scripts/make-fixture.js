'use strict'

// Makes tests/fixtures/format-1: a closed store of format 1, and what it holds as JSON. To be run
// only when a new format gets a fixture of its own: the old ones must stay as they were written.

const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { openStore } = require('..')

const target = path.join(__dirname, '..', 'tests', 'fixtures', 'format-1')
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'commonhold-fixture-'))
const entries = {
  default: { greeting: 'hello', none: null, yes: true },
  'files:@scope/repo | a b': {
    'src/index.ts': { text: 'export const answer = 42\n', lines: 1 },
    'docs/\u00fcbersicht.md': { text: '# \u00dcbersicht \u{1F600}', lines: 1 }
  },
  numbers: { float: 0.1, integer: 7, large: 4294967296, negative: -1 },
  ['n'.repeat(512)]: { ['k'.repeat(1978)]: 'at the limits' }
}

const store = openStore({ path: path.join(scratch, 'store'), agent: 'fixture' })
for (const [name, values] of Object.entries(entries)) store.useNamespace(name).setMany(values)
store.useNamespace('default').set('tagged', [1, 2, 3], { metadata: { source: 'fixture', step: 1 } })
entries.default.tagged = [1, 2, 3]
// Long after this package is forgotten: the year 5138.
store.useNamespace('default').set('expiring', 'later', { ttl: 98_000_000_000_000 })
entries.default.expiring = 'later'

// For the history: something that is gone again.
store.useNamespace('gone').setMany({ a: 1, b: 2 })
store.useNamespace('gone').delete('a')
store.useNamespace('gone').clear()

// A task of each status.
const queue = store.useQueue('a queue', { maxAttempts: 1 })
for (const id of ['completed', 'dead', 'claimed', 'pending']) queue.push({ id }, { id })
queue.push({ id: 'delayed' }, { id: 'delayed', delay: 98_000_000_000_000 })
queue.claim().complete('a result')
queue.claim().fail(new Error('a reason'))
queue.claim()

store.close()
fs.mkdirSync(target, { recursive: true })
for (const file of ['commonhold.json', 'data.mdb']) {
  fs.copyFileSync(path.join(scratch, 'store', file), path.join(target, file))
}
fs.writeFileSync(path.join(target, 'expected.json'), JSON.stringify(entries, null, 2) + '\n')
fs.rmSync(scratch, { recursive: true })
