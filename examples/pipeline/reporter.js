'use strict'

const { useNamespace } = require('../..')

const pipeline = useNamespace('pipeline:job-1')

async function run (timeout) {
  const analysis = await pipeline.waitFor('analysis', { timeout })
  const report = [
    `# ${analysis.orders} orders, ${amount(analysis.totalCents)} in all`,
    ...table('region', analysis.byRegion),
    ...table('product', analysis.byProduct),
    ...table('month', analysis.byMonth),
    ''
  ].join('\n')
  pipeline.setMany({ report, status: { stage: 'complete' } })
}

function table (title, sums) {
  const rows = [...sums].map(([group, cents]) => `- ${group}: ${amount(cents)}`)
  return ['', `## By ${title}`, '', ...rows]
}

function amount (cents) {
  return (cents / 100).toFixed(2)
}

run(Number(process.argv[2]))
