'use strict'

const { useNamespace } = require('../..')

const pipeline = useNamespace('pipeline:job-1')

async function run (timeout) {
  const raw = await pipeline.waitFor('raw', { timeout })
  const [header, ...rows] = raw.trim().split('\n').map(fields)
  const parsed = rows.map(row => order(header, row))
  pipeline.setMany({ parsed, status: { stage: 'parsed' } })
}

/** The fields of one line of CSV; a quoted field may hold commas. */
function fields (line) {
  const matches = line.matchAll(/(?:^|,)(?:"([^"]*)"|([^,]*))/g)
  return [...matches].map(([, quoted, bare]) => quoted ?? bare)
}

function order (header, row) {
  const record = Object.fromEntries(header.map((name, i) => [name, row[i]]))
  return {
    date: new Date(record.date),
    region: record.region,
    product: record.product,
    quantity: Number(record.quantity),
    cents: Number(record.quantity) * Number(record.unit_price_cents)
  }
}

run(Number(process.argv[2]))
