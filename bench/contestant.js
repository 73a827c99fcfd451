'use strict'

// One peer in a process of its own. The harness hands it turns; between them it waits and uses no
// processor. In one process the peers would share inline caches (JSON.parse, msgpackr), the
// collector would charge one's garbage to another, and a crash in one's native code would end all.
//
// node --expose-gc contestant.js <row> <case> <peer> <directory>

const crypto = require('node:crypto')

const WARM_UP_MS = 300
const [rowFile, caseName, peerFile, directory] = process.argv.slice(2)
const row = require(rowFile)
const contest = row.cases.find(one => one.name === caseName)

let store
let state

/** The answer without regard to how a peer represents bytes, so that answers can be compared. */
function digest (answer) {
  const comparable = value => ArrayBuffer.isView(value)
    ? { type: value.constructor.name, numbers: Array.from(value) }
    : value
  const text = JSON.stringify(answer, (_, value) => comparable(value))
  return crypto.createHash('sha256').update(text).digest('hex')
}

async function prepare () {
  const peer = require(peerFile)
  store = await peer.open(directory, contest.kind)
  state = await contest.prepare(store, { peerFile, directory })
  return {
    label: peer.name,
    version: peer.version(),
    digest: peer.baseline ? undefined : digest(await contest.answer(store, state))
  }
}

/** A row that knows better than this clock when a round was over returns its measures itself. */
async function round ({ operations }) {
  if (contest.reset) await contest.reset(store, state)
  global.gc()
  const start = process.hrtime.bigint()
  const measures = await contest.run(store, state, operations)
  const nanoseconds = Number(process.hrtime.bigint() - start) / operations
  return contest.measures ? measures : { nanoseconds }
}

/**
 * Runs until the compiler has seen enough, then says how many operations fill a round. A row that
 * measures its rounds itself has one more of them instead, or none where it is `cold`.
 */
async function warmUp ({ roundMs }) {
  if (contest.cold) return { operations: 1 }
  if (contest.reset) {
    await round({ operations: 1 })
    return { operations: 1 }
  }
  let operations = 1
  let spentMs = 0
  let perOperationMs
  while (spentMs < WARM_UP_MS) {
    const { nanoseconds } = await round({ operations })
    perOperationMs = nanoseconds / 1e6
    spentMs += perOperationMs * operations
    operations = Math.max(1, Math.round(roundMs / perOperationMs))
  }
  return { operations }
}

/** Throws unless the store holds what the rounds have put there. */
async function verify () {
  await contest.verify(store, state)
  return {}
}

async function finish () {
  if (contest.finish) await contest.finish(state)
  await store.close()
  return {}
}

const turns = { prepare, warmUp, round, verify, finish }

process.on('message', async message => {
  try {
    process.send({ result: await turns[message.turn](message) })
  } catch (error) {
    process.send({ error: error.stack, missing: error.missing })
  }
  if (message.turn === 'finish') process.disconnect()
})
process.on('disconnect', () => process.exit())
