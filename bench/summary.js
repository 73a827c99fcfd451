'use strict'

// From the results of the rounds to what is printed and stored: medians, ratios, targets.

const { summarize } = require('./statistics')

/** The peer whose figures are the product's. */
const productOf = (row, contest) => contest.product ?? row.product ?? 'commonhold'

/** The peer's value over the subject's, round by round. */
const ratiosOf = (values, peer, subject) =>
  values.get(peer).map((value, i) => value / values.get(subject)[i])

/** What one measure came to for every peer: a time in nanoseconds per unit, or what `in` says. */
function summarizePeers (contestants, values, productName, kind) {
  const measured = contestants.filter(({ name }) => values.get(name).every(Number.isFinite))
  const withProduct = measured.some(({ name }) => name === productName)
  return measured.map(({ name, label, version, operations }) => ({
    peer: name,
    product: name === productName,
    label,
    version,
    operationsPerRound: operations,
    [kind]: summarize(values.get(name)),
    timesOfProduct: withProduct ? summarize(ratiosOf(values, name, productName)) : undefined,
    rounds: values.get(name).map(kind === 'times' ? value => value : Math.round)
  }))
}

/**
 * Whether a target of the row holds for these results; undefined where its peers are absent. It
 * bounds a figure of its subject (by default the product), or its ratio to the best of its peers.
 */
function judge (target, peers, values, productName) {
  const { in: kind } = target
  const subject = peers.find(one => one.peer === (target.subject ?? productName))
  const candidates = peers.filter(one => target.peers?.includes(one.peer))
  if (subject === undefined) return target
  for (const [bound, figure] of [['medianAtMost', 'median'], ['highestAtMost', 'highest']]) {
    if (target[bound] === undefined) continue
    const measured = subject[kind][figure]
    return { ...target, measured, met: measured <= target[bound] }
  }
  if (candidates.length === 0) return target
  const best = candidates.reduce((a, b) => a[kind].median < b[kind].median ? a : b)
  const ratio = summarize(ratiosOf(values, best.peer, subject.peer)).median
  const measured = target.atMost === undefined ? ratio : 1 / ratio
  const met = target.atMost === undefined ? measured >= target.atLeast : measured <= target.atMost
  return { ...target, best: best.peer, measured, met }
}

/** The measures of a case, each target with what its measure is in. */
function measuresOf (contest) {
  const measures = contest.measures ?? [{ of: 'nanoseconds', targets: contest.targets }]
  return measures.map(({ of, in: kind = 'nanoseconds', targets = [] }) =>
    ({ of, in: kind, targets: targets.map(target => ({ ...target, in: kind })) }))
}

const titleOf = (contest, measure) =>
  contest.measures ? `${contest.name}, ${measure.of}` : contest.name

/** The results of a case, one for each of its measures; most cases have only their time. */
function summarizeCase (row, contest, contestants, samples, skipped) {
  const product = productOf(row, contest)
  return measuresOf(contest).map(measure => {
    const kind = measure.in
    const perUnit = kind === 'nanoseconds' ? contest.perUnit ?? 1 : 1
    const values = new Map()
    for (const [name, results] of samples) {
      values.set(name, results.map(one => one[measure.of] / perUnit))
    }
    const peers = summarizePeers(contestants, values, product, kind)
    const targets = measure.targets.map(target => judge(target, peers, values, product))
    const title = titleOf(contest, measure)
    return { case: title, unit: contest.unit, in: kind, peers, targets, skipped }
  })
}

/** The results of a case that gave none: why the product skipped it, or how it failed. */
function emptyCase (contest, { skipped = [], failed }) {
  const targets = measuresOf(contest).flatMap(measure => measure.targets)
  const { name, unit } = contest
  return [{ case: name, unit, in: 'nanoseconds', peers: [], targets, skipped, failed }]
}

module.exports = { emptyCase, productOf, summarizeCase }
