'use strict'

/** The value below which the share `q` of the list lies, between neighbours by proportion. */
function quantile (list, q) {
  const sorted = Array.from(list).sort((a, b) => a - b)
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  const high = Math.ceil(at)
  return sorted[low] + (sorted[high] - sorted[low]) * (at - low)
}

/** Median with quartiles and extremes: a mean would let one pause of the machine decide. */
function summarize (list) {
  return {
    median: quantile(list, 0.5),
    lowerQuartile: quantile(list, 0.25),
    upperQuartile: quantile(list, 0.75),
    lowest: Math.min(...list),
    highest: Math.max(...list)
  }
}

module.exports = { quantile, summarize }
