'use strict'

// Money moves between 20 accounts in 3 namespaces, by several processes at once. Whoever looks, at
// whatever time, in a transaction, finds as much of it as there was.

const { test } = require('node:test')
const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { once } = require('node:events')
const { openStore } = require('..')
const { startAgent } = require('./support/agents')
const { seededRandom } = require('./support/random')
const { temporaryDirectory } = require('./support/store')

const ACCOUNTS = 20
const NAMESPACES = ['bank/north', 'bank/south', 'bank/west']
const BALANCE = 100
const SUM = ACCOUNTS * BALANCE

/** A bank with its accounts, and a way to employ processes. */
function openBank (t) {
  const random = seededRandom(t)
  const directory = temporaryDirectory(t)
  const store = openStore({ path: path.join(directory, 'store') })
  t.after(() => store.close())
  for (let index = 0; index < ACCOUNTS; index++) {
    store.useNamespace(NAMESPACES[index % 3]).set(`account ${index}`, BALANCE)
  }
  const stopFile = path.join(directory, 'stop')
  const employ = (args) => startAgent(t, 'bank', {
    path: store.path,
    namespaces: NAMESPACES,
    accounts: ACCOUNTS,
    seed: random.below(2 ** 32),
    slowness: 0,
    stopFile,
    ...args
  })
  const stop = () => fs.writeFileSync(stopFile, '')
  const sum = () => store.transaction((tx) => NAMESPACES
    .flatMap((name) => Object.values(tx.useNamespace(name).getAll()))
    .reduce((sum, balance) => sum + balance))
  return { random, store, employ, stop, sum }
}

/** What an agent says at its end. */
async function report (agent) {
  const [said] = (await agent.all()).slice(-1)
  const { code, signal, stderr } = await agent.exited
  assert.equal(code, 0, `${signal} ${stderr}`)
  return said
}

async function checkAudits (t, auditors) {
  for (const auditor of auditors) {
    const { sums, runs } = await report(auditor)
    t.diagnostic(`${sums[SUM]} audits in ${runs} runs`)
    assert.deepEqual(Object.keys(sums), [String(SUM)])
  }
}

test('six processes transfer, two audit: every audit finds the same sum', async (t) => {
  const { employ, stop, sum, store } = openBank(t)
  const auditors = [employ({ role: 'audit' }), employ({ role: 'audit' })]
  const clerks = Array.from({ length: 6 }, () => employ({ role: 'transfer', transfers: 150 }))
  for (const clerk of clerks) {
    const { transfers, runs } = await report(clerk)
    t.diagnostic(`${transfers} transfers in ${runs} runs`)
    assert.equal(transfers, 150)
  }
  stop()
  await checkAudits(t, auditors)
  assert.equal(sum(), SUM)
  const lowest = Math.min(...NAMESPACES.flatMap((name) =>
    Object.values(store.useNamespace(name).getAll())))
  assert.ok(lowest >= 0)
})

test('a slow process gets its transfers done while five fast ones never stop', async (t) => {
  const { employ, stop, sum } = openBank(t)
  const fast = Array.from({ length: 5 }, () => employ({ role: 'transfer' }))
  await Promise.all(fast.map((agent) => agent.next()))
  const { transfers, runs } = await report(employ({ role: 'transfer', transfers: 20, slowness: 5 }))
  t.diagnostic(`${transfers} slow transfers in ${runs} runs`)
  assert.equal(transfers, 20)
  stop()
  for (const agent of fast) assert.ok((await report(agent)).transfers > 0)
  assert.equal(sum(), SUM)
})

test('processes killed in the midst of transfers leave the sum as it was', async (t) => {
  const { random, employ, stop, sum, store } = openBank(t)
  const auditors = [employ({ role: 'audit' }), employ({ role: 'audit' })]
  const clerks = Array.from({ length: 4 }, () => employ({ role: 'transfer' }))
  for (let kills = 0; kills < 12; kills++) {
    const index = random.below(clerks.length)
    const victim = clerks[index]
    await victim.next()
    // As many more commits, by anybody, as chance has it; then the kill.
    const until = store.stats().lastVersion + 5 + random.below(40)
    while (store.stats().lastVersion < until) {
      await new Promise(setImmediate)
      const { exitCode, signalCode } = victim.child
      assert.deepEqual({ exitCode, signalCode }, { exitCode: null, signalCode: null })
    }
    const exited = once(victim.child, 'exit')
    victim.kill('SIGKILL')
    await exited
    assert.equal(sum(), SUM)
    clerks[index] = employ({ role: 'transfer' })
  }
  stop()
  for (const clerk of clerks) await report(clerk)
  await checkAudits(t, auditors)
  assert.equal(sum(), SUM)
})
