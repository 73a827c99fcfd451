'use strict'

// The results as a table for people; the JSON beside it has every round.

const fs = require('node:fs')
const path = require('node:path')

const COLUMNS = [37, 12, 24, 10, 18]

const line = cells => '  ' + cells.map((cell, i) =>
  i === 0 ? cell.padEnd(COLUMNS[i]) : cell.padStart(COLUMNS[i])).join('')

function duration (nanoseconds) {
  if (nanoseconds < 1e4) return `${Math.round(nanoseconds)} ns`
  if (nanoseconds < 1e7) return `${(nanoseconds / 1e3).toFixed(1)} us`
  return `${(nanoseconds / 1e6).toFixed(1)} ms`
}

const ratio = number => `${number.toFixed(2)}x`

const mebibytes = bytes => `${(bytes / 1024 ** 2).toFixed(1)} MiB`

/** How a figure is written, by what it is in. */
const formats = { nanoseconds: duration, bytes: mebibytes, times: ratio }

function peerLine (peer, kind) {
  const { product, label, version, timesOfProduct } = peer
  const { median, lowerQuartile, upperQuartile } = peer[kind]
  const format = formats[kind]
  const quartiles = `${format(lowerQuartile)} - ${format(upperQuartile)}`
  const cells = [`${label} ${version}`, format(median), quartiles]
  if (timesOfProduct && !product) {
    const { median, lowerQuartile, upperQuartile } = timesOfProduct
    cells.push(ratio(median), `${lowerQuartile.toFixed(2)} - ${upperQuartile.toFixed(2)}`)
  }
  return line(cells)
}

function boundOf ({ subject, peers, best, atLeast, atMost, medianAtMost, highestAtMost }, format) {
  const whose = subject === undefined ? '' : `${subject} `
  if (medianAtMost !== undefined) return `${whose}at most ${format(medianAtMost)}`
  if (highestAtMost !== undefined) return `${whose}at most ${format(highestAtMost)} in any round`
  return atMost === undefined
    ? `${whose}at least ${atLeast}x faster than ${best ?? peers.join(', ')}`
    : `${whose}at most ${atMost}x the time of ${best ?? peers.join(', ')}`
}

function targetLine (target) {
  const { peers, in: kind, measured, met } = target
  const bound = boundOf(target, formats[kind])
  if (measured === undefined) return `  target: ${bound}: not measured`
  const value = peers === undefined ? formats[kind](measured) : ratio(measured)
  return `  target: ${bound}: ${value}, ${met ? 'met' : 'MISSED'}`
}

/** Prints one case. `faster` is the peer's time over the product's, the median over the rounds. */
function printCase (row, result) {
  const { case: name, unit, in: kind = 'nanoseconds', peers, targets, skipped, failed } = result
  console.log(`\n${row.id} ${row.title}: ${name}`)
  if (peers.length > 0) {
    const heads = kind === 'nanoseconds' ? [`per ${unit}`, 'faster'] : ['', 'ratio']
    console.log(line(['', heads[0], 'quartiles', heads[1], 'quartiles']))
  }
  for (const peer of peers) console.log(peerLine(peer, kind))
  for (const { peer, reason } of skipped) console.log(`  ${peer}: skipped: ${reason}`)
  if (failed) console.log(`  FAILED: ${failed}`)
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

module.exports = { formats, printCase, printSummary, writeJson }
