'use strict'

// How long the suite runs, and where its figures go. `npm run test:faults` sets both variables
// (run.js); without them, the fast part runs and the figures are shown only.

const fs = require('node:fs')

const isFull = process.env.COMMONHOLD_FAULTS === 'full'

/** A number for the fast part and one for the full run. */
const size = (fast, full) => (isFull ? full : fast)

/** Shows the figures of a test and keeps them, with its seed, for docs/testing.md. */
function publish (t, fault, figures, seed) {
  const text = Object.entries(figures).map(([name, value]) => `${value} ${name}`).join(', ')
  t.diagnostic(`${fault}: ${text}`)
  const file = process.env.COMMONHOLD_FAULTS_FIGURES
  if (file) fs.appendFileSync(file, `${JSON.stringify({ fault, seed, figures: text })}\n`)
}

module.exports = { isFull, publish, size }
