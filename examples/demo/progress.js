'use strict'

// Bars in a terminal, a line per quarter elsewhere.

const { MultiBar, Presets } = require('cli-progress')

/** Returns `update(stage, done, detail)` and `stop()` for stages of `total` steps each. */
function showProgress (stages, total) {
  return process.stdout.isTTY ? bars(stages, total) : lines(total)
}

function bars (stages, total) {
  const options = {
    format: ' {stage} {bar} {percentage}% {value}/{total}  {detail}',
    barsize: 24,
    hideCursor: true,
    linewrap: false
  }
  const multibar = new MultiBar(options, Presets.shades_classic)
  const width = Math.max(...stages.map(stage => stage.length))
  const created = new Map(stages.map(stage =>
    [stage, multibar.create(total, 0, { stage: stage.padEnd(width), detail: '' })]))
  return {
    update: (stage, done, detail) => created.get(stage).update(done, { detail }),
    stop: () => multibar.stop()
  }
}

function lines (total) {
  const shown = new Map()
  return {
    update (stage, done, detail) {
      const quarter = Math.floor(done / total * 4)
      if (quarter === (shown.get(stage) ?? 0)) return
      shown.set(stage, quarter)
      console.log(`${stage} ${quarter * 25}% ${done}/${total}  ${detail}`)
    },
    stop () {}
  }
}

module.exports = { showProgress }
