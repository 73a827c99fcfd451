'use strict'

// node table.js [results.json]: a run, by default the newest one, as a table of Markdown for the
// README: a line for each target, or for the first peer where there is no target.

const fs = require('node:fs')
const path = require('node:path')
const { formats } = require('./report')

function newestResults () {
  const directory = path.join(__dirname, 'results')
  const names = fs.readdirSync(directory).filter(name => name.endsWith('.json'))
  if (names.length === 0) throw new Error('there are no results: node run.js makes them')
  return path.join(directory, names.sort().at(-1))
}

/** What a target says of its case: our figure, the peer's, how many times faster we are. */
function tableLine (row, { case: name, in: kind = 'nanoseconds', peers }, target) {
  const figureOf = peer => peer ? `${peer.label}: ${formats[kind](peer[kind].median)}` : '-'
  const ours = peers.find(one => target?.subject ? one.peer === target.subject : one.product)
  const peer = peers.find(one => target ? one.peer === target.best : !one.product)
  const verdict = { true: 'met', false: '**missed**', undefined: 'not measured' }
  return [
    `${row.title}: ${name}`,
    figureOf(ours),
    figureOf(peer),
    peer ? fasterOf(target, peer) : '-',
    target ? verdict[target.met] : '-',
    `\`npm run bench -- ${row.row}\``
  ]
}

function fasterOf (target, peer) {
  if (target === undefined) return peer.timesOfProduct.median.toFixed(2)
  return (target.atMost === undefined ? target.measured : 1 / target.measured).toFixed(2)
}

function main ([file = newestResults()]) {
  const { rows } = JSON.parse(fs.readFileSync(file, 'utf8'))
  const heads = ['measure', 'ours', 'peer', 'how many times faster', 'target', 'reproduce']
  const lines = rows.flatMap(row => row.cases.flatMap(one => {
    const targets = one.targets.length > 0 ? one.targets : [undefined]
    return targets.map(target => tableLine(row, one, target))
  }))
  const print = cells => console.log(`| ${cells.join(' | ')} |`)
  print(heads)
  print(heads.map(() => '---'))
  lines.forEach(print)
}

try {
  main(process.argv.slice(2))
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
