'use strict'

// node run.js [--rounds N] [row ...]: runs the rows named (P1 p3 ...), by default all that have a
// number. node run.js history --baseline <directory>: against an older build of the product.

const fs = require('node:fs')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { describeDocuments } = require('./documents')
const { runRow } = require('./harness')
const { describeMachine } = require('./machine')
const { printCase, printSummary, writeJson } = require('./report')

const LEAST_ROUNDS = 7
const DEFAULT_ROUNDS = 9

/** The row files by their number, `p1-get.js` as P1; a row without one is run when it is named. */
function findRows () {
  const directory = path.join(__dirname, 'rows')
  const numberOf = file => Number(/^p(\d+)-/.exec(file)?.[1] ?? Infinity)
  const nameOf = file => /^p\d+(?=-)/.exec(file)?.[0] ?? path.basename(file, '.js')
  const files = fs.readdirSync(directory).sort((a, b) => numberOf(a) - numberOf(b))
  return new Map(files.map(file => [nameOf(file).toUpperCase(), path.join(directory, file)]))
}

function readArguments (rows) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: String(DEFAULT_ROUNDS) },
      baseline: { type: 'string' }
    }
  })
  const named = positionals.map(name => name.toUpperCase())
  const unknown = named.filter(name => !rows.has(name))
  const rounds = Number(values.rounds)
  if (unknown.length > 0) {
    throw new Error(`no row ${unknown.join(', ')}: there are ${[...rows.keys()].join(', ')}`)
  }
  if (!(rounds >= LEAST_ROUNDS)) throw new Error(`--rounds must be a number from ${LEAST_ROUNDS}`)
  if (named.includes('HISTORY') !== (values.baseline !== undefined)) {
    throw new Error('the row history needs --baseline <directory>, and no other row takes it')
  }
  // The contestants inherit it.
  if (values.baseline) process.env.BENCH_BASELINE = path.resolve(values.baseline)
  const numbered = [...rows.keys()].filter(name => /^P\d+$/.test(name))
  return { rounds, wanted: named.length > 0 ? named : numbered }
}

function printHead ({ machine, rounds }) {
  const { processor, cores, system, filesystem, node, commit, loadAverage } = machine
  console.log(`${processor}, ${cores} cores, ${system}, ${filesystem}, node ${node}`)
  console.log(`commit ${commit}, ${rounds} alternating rounds, ` +
    `load ${loadAverage.toFixed(2)} before`)
  if (filesystem === 'tmpfs') {
    console.log('tmpfs has no device: set BENCH_DIRECTORY to a disk for the rows that write')
  }
}

async function main () {
  const files = findRows()
  const { rounds, wanted } = readArguments(files)
  const machine = describeMachine()
  const results = {
    date: new Date().toISOString(), machine, documents: describeDocuments(), rounds, rows: []
  }
  printHead(results)
  for (const name of wanted) {
    results.rows.push(await runRow(files.get(name), { rounds, onCase: printCase }))
  }
  results.seconds = Math.round((Date.now() - Date.parse(results.date)) / 1000)
  printSummary(results.rows)
  if (results.rows.some(row => row.cases.some(one => one.failed))) process.exitCode = 1
  console.log(`${results.seconds} s; every round is in ${writeJson(results)}`)
}

main().catch(error => {
  console.error(error.message)
  process.exitCode = 1
})
