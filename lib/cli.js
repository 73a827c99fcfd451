#!/usr/bin/env node
'use strict'

// The script `commonhold`. Its exit status is part of the interface: docs/check.md.

const { parseArgs } = require('node:util')
const { check } = require('./check')
const { version } = require('../package.json')

const USAGE = `commonhold check [directory] [--json]

  Looks at every page and record of a store and says what is damaged, and what to do about it.
  Changes nothing. Without a directory: $COMMONHOLD_PATH, else the user's default store.

  --json     print the report as JSON
  --help     print this
  --version  print the version

  Exit status: 0 the store is sound; 1 it is damaged; 2 it could not be checked.`

const STATUS = { sound: 0, damaged: 1, unchecked: 2 }
const COULD_NOT_CHECK = 2
// The JSON has more.
const MOST_LINES = 50

async function main () {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
      version: { type: 'boolean', short: 'v' }
    }
  })
  const [command, directory, ...more] = positionals
  if (values.version) return print(version)
  if (values.help) return print(USAGE)
  if (command !== 'check' || more.length > 0) throw new Error(`unknown arguments\n\n${USAGE}`)
  const report = await check(directory)
  print(values.json ? JSON.stringify(report, null, 2) : describe(report))
  process.exitCode = STATUS[report.status]
}

function print (text) {
  process.stdout.write(`${text}\n`)
}

/** A report for people. */
function describe (report) {
  const { status, path, inUse, version, problems, problemCount, harmed, harmedCount, advice } = report
  const lines = [
    `${path}: ${status}`,
    ...figuresOf(report.figures, version, inUse)
  ]
  for (const problem of problems.slice(0, MOST_LINES)) lines.push(`- ${lineOf(problem)}`)
  if (problemCount > MOST_LINES) {
    lines.push(`- and ${problemCount - MOST_LINES} more: ${countsOf(report.counts)}`)
  }
  if (harmedCount > 0) lines.push(`harmed namespaces: ${namesOf(harmed, harmedCount)}`)
  return [...lines, ...advice].join('\n')
}

function figuresOf (figures, version, inUse) {
  const { fileBytes, pages, usedPages, freePages, leakedPages } = figures
  const { namespaces, records, recordBytes, expiringRecords, historyRows, queues, tasks } = figures
  return [
    `  ${fileBytes} bytes, ${pages} pages: ${usedPages} used, ${freePages} free, ` +
      `${leakedPages} leaked`,
    `  ${records} records (${recordBytes} bytes, ${expiringRecords} expiring) in ${namespaces} ` +
      `namespaces, ${tasks} tasks in ${queues} queues, ${historyRows} rows of history`,
    `  as of version ${version ?? 'unknown'}${inUse ? ', in use by other processes' : ''}`
  ]
}

function lineOf ({ kind, message, page, key }) {
  const places = []
  if (key !== undefined) places.push(`key ${JSON.stringify(key)}`)
  if (page !== undefined) places.push(`page ${page}`)
  return `${kind}: ${message}${places.length > 0 ? ` (${places.join(', ')})` : ''}`
}

function countsOf (counts) {
  return Object.entries(counts).map(([kind, count]) => `${count} ${kind}`).join(', ')
}

function namesOf (names, count) {
  const shown = names.slice(0, MOST_LINES).map((name) => JSON.stringify(name)).join(', ')
  return count > MOST_LINES ? `${shown} and ${count - MOST_LINES} more` : shown
}

function fail (error) {
  process.exitCode = COULD_NOT_CHECK
  console.error(`commonhold: ${error.message}`)
}

// Uncaught it would end the process with 1, which says that the store is damaged. A reader that has
// read enough, such as `head`, is no failure.
process.stdout.on('error', (error) => {
  if (error.code !== 'EPIPE') fail(error)
})
main().catch(fail)
