'use strict'

const { useNamespace } = require('../..')

const pipeline = useNamespace('pipeline:job-1')

async function run (timeout) {
  const orders = await pipeline.waitFor('parsed', { timeout })
  const analysis = {
    orders: orders.length,
    totalCents: orders.reduce((sum, { cents }) => sum + cents, 0),
    byRegion: totals(orders, ({ region }) => region),
    byProduct: totals(orders, ({ product }) => product),
    byMonth: totals(orders, ({ date }) => date.toISOString().slice(0, 7))
  }
  pipeline.setMany({ analysis, status: { stage: 'analysed' } })
}

/** Cents by group, as a Map, largest first. The store keeps a Map a Map. */
function totals (orders, groupOf) {
  const sums = new Map()
  for (const order of orders) {
    sums.set(groupOf(order), (sums.get(groupOf(order)) ?? 0) + order.cents)
  }
  return new Map([...sums].sort(([, a], [, b]) => b - a))
}

run(Number(process.argv[2]))
