'use strict'

// Waits for the other player's number by reading again and again, and answers it; in one
// synchronous loop, or with microtasks or timers between the reads.

const { setTimeout: timer } = require('node:timers/promises')
const { openStore } = require('../..')
const { args, say } = require('../support/agent')

const store = openStore(args.path)
const mine = store.useNamespace(args.mine)
const theirs = store.useNamespace(args.theirs)
const deadline = Date.now() + 120_000

/** Each way of reading must see the write. */
const reads = [
  (round) => theirs.get('round') === round,
  (round) => theirs.getEntry('round')?.value === round,
  (round) => theirs.getMany(['round']).round === round,
  (round) => theirs.getAll().round === round,
  (round) => theirs.has(`round ${round}`),
  (round) => theirs.listKeys().includes(`round ${round}`),
  (round) => theirs.count() === 2 && theirs.has(`round ${round}`),
  (round) => [...theirs.values()].includes(round)
]

function write (round) {
  mine.clear()
  mine.setMany({ round, [`round ${round}`]: true })
}

function seen (round) {
  if (Date.now() > deadline) throw new Error(`round ${round} did not come`)
  return reads[round % reads.length](round)
}

async function play () {
  for (let round = 1; round <= args.rounds; round++) {
    if (args.first) write(round)
    if (args.turn === 'loop') while (!seen(round));
    else if (args.turn === 'microtask') while (!seen(round)) await null
    else while (!seen(round)) await timer(0)
    if (!args.first) write(round)
  }
  say({ rounds: args.rounds })
}

play()
