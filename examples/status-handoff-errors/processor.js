'use strict'

// Averages readings by station. Says where it is, reports what it cannot read, goes on, and hands
// the result over at the end.

const { readFileSync } = require('node:fs')
const { useNamespace } = require('../..')

const status = useNamespace('workflow:status')
const errors = useNamespace('workflow:errors')
const sums = new Map()

const [, ...lines] = readFileSync(process.argv[2], 'utf8').trimEnd().split('\n')
lines.forEach((line, i) => {
  const [station, celsius] = line.split(',')
  const value = celsius === undefined ? NaN : Number(celsius)
  if (Number.isNaN(value)) {
    errors.set(`readings.csv:${i + 2}`, { message: 'no temperature', line })
  } else {
    const { sum, count } = sums.get(station) ?? { sum: 0, count: 0 }
    sums.set(station, { sum: sum + value, count: count + 1 })
  }
  status.set('current_stage', { stage: 'processing', line: i + 1, of: lines.length })
})

const averages = new Map([...sums].map(([station, { sum, count }]) => [station, sum / count]))
useNamespace('results').set('averages', averages)
status.set('current_stage', { stage: 'processed', line: lines.length, of: lines.length })
useNamespace('handoff').set('data-ready', { namespace: 'results', key: 'averages' })
