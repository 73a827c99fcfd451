'use strict'

// Waits until the bank opens and moves random amounts from its own account to the other, as far as
// there is money. Prints how much that was, and how often the function of a transfer ran.

const { dataStore, useNamespace } = require('../..')

const [other, transfers] = process.argv.slice(2)
let runs = 0

async function run () {
  process.send({ kind: 'is ready' })
  await useNamespace('bank').waitFor('open', { timeout: 60000 })
  let moved = 0
  for (let i = 0; i < Number(transfers); i += 1) {
    moved += transfer(dataStore.agent, other, Math.ceil(Math.random() * 20))
  }
  console.log(JSON.stringify({ moved, runs }))
}

/** Runs again if another agent has changed a balance meanwhile. Returns what it moved. */
function transfer (from, to, amount) {
  return dataStore.transaction(tx => {
    runs += 1
    const source = tx.useNamespace(`account:${from}`)
    const balance = source.get('balance')
    if (balance < amount) return 0
    source.set('balance', balance - amount)
    tx.useNamespace(`account:${to}`).increment('balance', amount)
    return amount
  })
}

run()
