'use strict'

// Adds up both accounts after every change and prints how often. Both reads see one snapshot,
// because they are in one transaction.

const { dataStore, useNamespace } = require('../..')

const total = Number(process.argv[2])

async function run () {
  const end = new AbortController()
  useNamespace('bank').waitFor('closed', { timeout: 60000 }).then(() => end.abort())
  let audits = 0
  for await (const { last } of dataStore.watch({ prefix: 'account:', signal: end.signal })) {
    if (!last) continue
    const sum = dataStore.transaction(tx => ['ann', 'ben']
      .reduce((sum, name) => sum + tx.useNamespace(`account:${name}`).get('balance'), 0))
    if (sum !== total) throw new Error(`both accounts have ${sum}, not ${total}`)
    audits += 1
  }
  console.log(audits)
}

run()
