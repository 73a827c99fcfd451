'use strict'

// Uses up the file descriptors of this process, and says what a store can still do.

const fs = require('node:fs')
const { openStore } = require('../..')
const { args, outcome, say } = require('../support/agent')

const open = []

function useUp () {
  try {
    for (;;) open.push(fs.openSync('/dev/null'))
  } catch (error) {
    if (error.code !== 'EMFILE') throw error
  }
}

const giveBack = () => open.splice(0).forEach((descriptor) => fs.closeSync(descriptor))
const codeOf = (fn) => outcome(fn).code ?? 'ok'

const store = openStore(args.path)
for (let index = 0; index < 300; index++) store.useNamespace(`n${index}`).set('k', index)
useUp()
const opened = outcome(() => openStore(args.path + '2'))
say({
  'opening another store': [opened.code, opened.message],
  get: codeOf(() => store.useNamespace('n299').get('k')),
  set: codeOf(() => store.useNamespace('n299').set('k', 299))
})
// More namespaces than there are handles: the file is closed and opened again.
const seen = new Set()
for (let index = 0; index < 300; index++) {
  seen.add(codeOf(() => store.useNamespace(`n${index}`).get('k')))
}
giveBack()
let wrong = 0
for (let index = 0; index < 300; index++) {
  if (store.useNamespace(`n${index}`).get('k') !== index) wrong += 1
}
store.useNamespace('n0').set('k', 'written after')
openStore(args.path + '2').set('k', 1)
say({ 'gets while the file is opened again': [...seen].sort(), wrong })
