'use strict'

// The results as a table for people; the JSON beside it has every round.

const fs = require('node:fs')
const path = require('node:path')

const COLUMNS = [37, 12, 24, 10, 16]

const line = cells => '  ' + cells.map((cell, i) =>
  i === 0 ? cell.padEnd(COLUMNS[i]) : cell.padStart(COLUMNS[i])).join('')

function duration (nanoseconds) {
  if (nanoseconds < 1e4) return `${Math.round(nanoseconds)} ns`
  if (nanoseconds < 1e7) return `${(nanoseconds / 1e3).toFixed(1)} us`
  return `${(nanoseconds / 1e6).toFixed(1)} ms`
}

const ratio = number => `${number.toFixed(2)}x`

function peerLine ({ product, label, version, nanoseconds, timesOfProduct }) {
  const { median, lowerQuartile, upperQuartile } = nanoseconds
  const quartiles = `${duration(lowerQuartile)} - ${duration(upperQuartile)}`
  const cells = [`${label} ${version}`, duration(median), quartiles]
  if (timesOfProduct && !product) {
    const { median, lowerQuartile, upperQuartile } = timesOfProduct
    cells.push(ratio(median), `${lowerQuartile.toFixed(2)} - ${upperQuartile.toFixed(2)}`)
  }
  return line(cells)
}

function boundOf ({ peers, best, atLeast, atMost, atMostUs }) {
  if (atMostUs !== undefined) return `at most ${atMostUs} us`
  return atMost === undefined
    ? `at least ${atLeast}x faster than ${best ?? peers.join(', ')}`
    : `at most ${atMost}x the time of ${best ?? peers.join(', ')}`
}

function targetLine (target) {
  const { atMostUs, measured, met } = target
  if (measured === undefined) return `  target: ${boundOf(target)}: not measured`
  const value = atMostUs === undefined ? ratio(measured) : `${measured.toFixed(1)} us`
  return `  target: ${boundOf(target)}: ${value}, ${met ? 'met' : 'MISSED'}`
}

/** Prints one case. `faster` is the peer's time over the product's, the median over the rounds. */
function printCase (row, { case: name, unit, peers, targets, skipped }) {
  console.log(`\n${row.id} ${row.title}: ${name}`)
  console.log(line(['', `per ${unit}`, 'quartiles', 'faster', 'quartiles']))
  for (const peer of peers) console.log(peerLine(peer))
  for (const { peer, reason } of skipped) console.log(`  ${peer}: skipped (${reason})`)
  for (const target of targets) console.log(targetLine(target))
}

function printSummary (rows) {
  const targets = rows.flatMap(({ row, cases }) =>
    cases.flatMap(one => one.targets.map(target => ({ row, case: one.case, ...target }))))
  const count = wanted => targets.filter(({ met }) => met === wanted).length
  console.log(`\n${targets.length} targets: ${count(true)} met, ${count(false)} missed, ` +
    `${count(undefined)} not measured`)
  for (const target of targets.filter(({ met }) => met === false)) {
    console.log(`  ${target.row} ${target.case}${targetLine(target).replace('  target', '')}`)
  }
}

/** Writes the results where charts and docs are drawn from, one file a run. */
function writeJson (results) {
  const directory = path.join(__dirname, 'results')
  fs.mkdirSync(directory, { recursive: true })
  const file = path.join(directory, `${results.date.replaceAll(':', '-')}.json`)
  fs.writeFileSync(file, JSON.stringify(results, null, 2) + '\n')
  return path.relative(process.cwd(), file)
}

module.exports = { printCase, printSummary, writeJson }
