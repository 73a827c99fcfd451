'use strict'

// Two agents move money between two accounts, each in a namespace of its own and each from the
// other side, and an auditor adds up both all the while. A transfer is one transaction: nobody sees
// money that has left one account and not arrived in the other.

const { join } = require('node:path')
const { runExample, message, check } = require('../harness')

const opening = { ann: 1000, ben: 1000 }
const total = opening.ann + opening.ben
const transfers = 200

runExample('transfer', async ({ store, start }) => {
  const agent = (script, name, ...args) =>
    start(join(__dirname, `${script}.js`), { name, args: args.map(String) })
  const balance = name => store.useNamespace(`account:${name}`).get('balance')
  const bank = store.useNamespace('bank')

  store.transaction(tx => {
    for (const [name, amount] of Object.entries(opening)) {
      tx.useNamespace(`account:${name}`).set('balance', amount)
    }
  })
  const auditor = agent('auditor', 'auditor', total)
  const tellers = [agent('teller', 'ann', 'ben', transfers), agent('teller', 'ben', 'ann', transfers)]
  await Promise.all(tellers.map(teller => message(teller, 'is ready')))
  bank.set('open', true)
  const printed = await Promise.all(tellers.map(teller => teller.succeeded()))
  const [ann, ben] = printed.map(text => JSON.parse(text))
  bank.set('closed', true)
  const audits = Number(await auditor.succeeded())

  check('the sum of both accounts', balance('ann') + balance('ben'), total)
  check('the account of ann', balance('ann'), opening.ann - ann.moved + ben.moved)
  return `${ann.moved} moved one way and ${ben.moved} the other by ${2 * transfers} transfers in ` +
    `${ann.runs + ben.runs} runs; the sum was ${total} in each of ${audits} audits`
})
