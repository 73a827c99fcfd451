'use strict'

// Moves random amounts from its own account to the other, as far as there is money, and prints how
// much that was.

const { dataStore } = require('../..')

const [other, transfers] = process.argv.slice(2)
let moved = 0

for (let i = 0; i < Number(transfers); i += 1) {
  moved += transfer(dataStore.agent, other, Math.ceil(Math.random() * 200))
}
console.log(moved)

/** Runs again if another agent has changed a balance meanwhile. Returns what it moved. */
function transfer (from, to, amount) {
  return dataStore.transaction(tx => {
    const source = tx.useNamespace(`account:${from}`)
    const balance = source.get('balance')
    if (balance < amount) return 0
    source.set('balance', balance - amount)
    tx.useNamespace(`account:${to}`).increment('balance', amount)
    return amount
  })
}
