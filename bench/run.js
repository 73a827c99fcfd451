'use strict'

// node run.js [--rounds N] [row ...]: runs the rows named (P1 p3 ...), all of them by default.

const fs = require('node:fs')
const path = require('node:path')
const { parseArgs } = require('node:util')
const { describeDocuments } = require('./documents')
const { runRow } = require('./harness')
const { describeMachine } = require('./machine')
const { printCase, printSummary, writeJson } = require('./report')

const LEAST_ROUNDS = 7
const DEFAULT_ROUNDS = 9

/** The row files by their number, `p1-get.js` as P1. */
function findRows () {
  const directory = path.join(__dirname, 'rows')
  const numberOf = file => Number(/^p(\d+)-/.exec(file)[1])
  const files = fs.readdirSync(directory).sort((a, b) => numberOf(a) - numberOf(b))
  return new Map(files.map(file => [`P${numberOf(file)}`, path.join(directory, file)]))
}

function readArguments (rows) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { rounds: { type: 'string', default: String(DEFAULT_ROUNDS) } }
  })
  const wanted = positionals.map(name => name.toUpperCase())
  const unknown = wanted.filter(name => !rows.has(name))
  const rounds = Number(values.rounds)
  if (unknown.length > 0) {
    throw new Error(`no row ${unknown.join(', ')}: there are ${[...rows.keys()].join(', ')}`)
  }
  if (!(rounds >= LEAST_ROUNDS)) throw new Error(`--rounds must be a number from ${LEAST_ROUNDS}`)
  return { rounds, wanted: wanted.length > 0 ? wanted : [...rows.keys()] }
}

function printHead ({ machine, rounds }) {
  const { processor, cores, system, filesystem, node, commit, loadAverage } = machine
  console.log(`${processor}, ${cores} cores, ${system}, ${filesystem}, node ${node}`)
  console.log(`commit ${commit}, ${rounds} alternating rounds, ` +
    `load ${loadAverage.toFixed(2)} before`)
  if (filesystem === 'tmpfs') {
    console.log('tmpfs has no device: set BENCH_DIRECTORY to a disk for P5 and P7')
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
  console.log(`${results.seconds} s; every round is in ${writeJson(results)}`)
}

main().catch(error => {
  console.error(error.message)
  process.exitCode = 1
})
