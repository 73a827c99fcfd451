'use strict'

// Two agents move money between two accounts, each in a namespace of its own and each from the
// other side, and an auditor adds up both all the while. A transfer is one transaction: nobody sees
// money that has left one account and not arrived in the other.

const { join } = require('node:path')
const { runExample, check } = require('../harness')

const opening = { ann: 1000, ben: 1000 }
const total = opening.ann + opening.ben
const transfers = 200

runExample('transfer', async ({ store, start }) => {
  const agent = (script, name, ...args) =>
    start(join(__dirname, `${script}.js`), { name, args: args.map(String) })
  const balance = name => store.useNamespace(`account:${name}`).get('balance')

  store.transaction(tx => {
    for (const [name, amount] of Object.entries(opening)) {
      tx.useNamespace(`account:${name}`).set('balance', amount)
    }
  })
  const auditor = agent('auditor', 'auditor', total)
  const agents = [agent('teller', 'ann', 'ben', transfers), agent('teller', 'ben', 'ann', transfers)]
  const [fromAnn, fromBen] = (await Promise.all(agents.map(teller => teller.succeeded()))).map(Number)
  store.useNamespace('bank').set('closed', true)
  const audits = Number(await auditor.succeeded())

  check('the sum of both accounts', balance('ann') + balance('ben'), total)
  check('the account of ann', balance('ann'), opening.ann - fromAnn + fromBen)
  return `${fromAnn} moved one way and ${fromBen} the other, the sum was ${total} ` +
    `in each of ${audits} audits`
})
