'use strict'

const { useNamespace } = require('../..')

const pipeline = useNamespace('pipeline:job-1')
const analysis = pipeline.get('analysis')
if (analysis === undefined) {
  console.error('no "analysis" in pipeline:job-1: run the analyser first')
  process.exit(1)
}

const amount = cents => (cents / 100).toFixed(2)
const table = (title, sums) => [
  '',
  `## By ${title}`,
  '',
  ...[...sums].map(([group, cents]) => `- ${group}: ${amount(cents)}`)
]

pipeline.set('report', [
  `# ${analysis.orders} orders, ${amount(analysis.totalCents)} in all`,
  ...table('region', analysis.byRegion),
  ...table('product', analysis.byProduct),
  ...table('month', analysis.byMonth),
  ''
].join('\n'))
pipeline.set('status', { stage: 'complete' })
