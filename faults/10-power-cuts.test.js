'use strict'

// The power goes at any moment. Strict writers work under a journal of all that they ask of the disk
// (interpose.c); from it the disks are made that a cut may leave, with what no sync has covered
// dropped, kept, or taken page by page (support/disk.js); and a process that takes itself for
// another boot opens them. The journal also holds what the writers had acknowledged by then.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const { weakenedPackage, without } = require('../__test__/support/weakened')
const { interposer } = require('./support/interposer')
const { publish, size } = require('./support/figures')
const { cutsAfterUnfinished, manyCuts } = require('./support/cuts')

const { reason } = interposer()
const options = { skip: reason, timeout: 1_200_000 }

test('the check finds what a disk loses that lies about its syncs', options, async (t) => {
  const { problems, total } = await manyCuts(t, 600, { lie: true, enough: 10 })
  t.diagnostic(`found ${problems.length} of ${total['power cuts']}`)
  assert.ok(problems.some((text) => /lost/.test(text)), 'lost writes')
  assert.ok(problems.length >= 10)
})

test('the check finds what is lost where LMDB does not sync', options, async (t) => {
  const env = without('sync').env
  const { problems, total } = await manyCuts(t, 600, { env, package: weakenedPackage(t), enough: 10 })
  t.diagnostic(`found ${problems.length} of ${total['power cuts']}`)
  assert.ok(problems.some((text) => /lost/.test(text)), 'lost writes')
  assert.ok(problems.length >= 10)
})

test('strict: a power cut loses nothing that was acknowledged', options, async (t) => {
  const { total, problems, seed } = await manyCuts(t, size(120, 2_000))
  publish(t, 'power cut, strict', { ...total, 'acknowledged writes lost or torn': problems.length }, seed)
  assert.deepEqual(problems, [])
})

test('strict: nobody relies on what a killed process had only begun to sync', options, async (t) => {
  const { total, problems, seed } = await cutsAfterUnfinished(t, size(6, 1))
  publish(t, 'power cut after a kill amid creation, strict', { ...total, problems: problems.length }, seed)
  assert.deepEqual(problems, [])
})
