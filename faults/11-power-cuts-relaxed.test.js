'use strict'

// As 10-power-cuts, with writers whose writes are not synced one by one. After a cut the store is in
// the state of one commit, the last interval is the most that is lost, watchers from beyond the cut
// are told to begin anew, and no version is handed out twice. What strict writers beside them
// had acknowledged, and what was flushed, is there.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { weakenedPackage, without } = require('../__test__/support/weakened')
const { interposer } = require('./support/interposer')
const { publish, size } = require('./support/figures')
const { cutsAfterUnfinished, manyCuts } = require('./support/cuts')
const { judgeRelaxed, longestSyncMs, lossMs } = require('./support/power')

const { reason } = interposer()
const options = { skip: reason, timeout: 1_200_000 }
// What a busy machine and the journal itself may add to an interval: far less than would be lost
// without checkpoints, which is all that a run of writers did.
const SLACK_MS = 250

/** Judges a finding beyond what is judged of strict writers too. */
function judge (finding, run, writers, total) {
  const { flushInterval = 0 } = writers.find(({ options }) => options)?.options ?? {}
  const lost = lossMs(finding, run)
  const most = flushInterval + 2 * longestSyncMs(run.records) + SLACK_MS
  const wentBack = finding.answer.wentBackTo !== undefined
  total['that went back'] = (total['that went back'] ?? 0) + (wentBack ? 1 : 0)
  const beyond = Math.max(total['ms beyond the interval at most'] ?? 0, Math.ceil(lost - flushInterval))
  total['ms beyond the interval at most'] = beyond
  const tooMuch = lost > most ? [`lost ${lost} ms, flushInterval is ${flushInterval} ms`] : []
  return [...judgeRelaxed(finding, run.said), ...tooMuch]
}

test('the check finds what is lost without a pin, a sync or a recovery', options, async (t) => {
  const weakened = weakenedPackage(t)
  // Without a pin it takes longer until one is found.
  for (const what of size(['sync', 'recovery'], ['sync', 'recovery', 'pin'])) {
    const { problems, total } = await manyCuts(t, 900, {
      relaxed: true, judge, enough: 2, env: without(what).env, package: weakened
    })
    t.diagnostic(`without ${what}: found ${problems.length} of ${total['power cuts']}`)
    assert.ok(problems.length > 0, what)
  }
})

test('the check finds what a disk loses that lies about its syncs', options, async (t) => {
  const { problems, total } = await manyCuts(t, 600, { relaxed: true, judge, lie: true, enough: 10 })
  t.diagnostic(`found ${problems.length} of ${total['power cuts']}`)
  assert.ok(problems.length >= 10)
})

test('relaxed: a power cut loses the last interval at most, and never the store', options, async (t) => {
  const { total, problems, seed } = await manyCuts(t, size(120, 2_000), { relaxed: true, judge })
  publish(t, 'power cut, relaxed', { ...total, 'stores damaged, torn or too far back': problems.length }, seed)
  assert.deepEqual(problems, [])
})

test('relaxed: nobody relies on what a killed process had only begun to sync', options, async (t) => {
  const { total, problems, seed } = await cutsAfterUnfinished(t, size(6, 1), { relaxed: true, judge })
  publish(t, 'power cut after a kill amid creation, relaxed', { ...total, problems: problems.length }, seed)
  assert.deepEqual(problems, [])
})
