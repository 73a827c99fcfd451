'use strict'

// What no program should do: reads lock.mdb while it has the store open, which drops all of LMDB's
// locks of this process. Opens, reads, increments and closes meanwhile, and says what it was told.

const fs = require('node:fs')
const path = require('node:path')
const { openStore } = require('../..')
const { args, outcome, say } = require('../../__test__/support/agent')
const { generator } = require('../../__test__/support/random')

const random = generator(args.seed)

function visit (store) {
  const namespace = store.useNamespace(`job ${random.below(args.namespaces)}`)
  if (random.next() < 0.2) fs.readFileSync(path.join(args.path, 'lock.mdb'))
  const { value, code } = outcome(() => namespace.get('name'))
  if (code !== undefined) say({ code })
  else if (value !== namespace.name) say({ wrong: [namespace.name, value] })
  const written = outcome(() => namespace.increment('visits'))
  say(written.code === undefined ? { increments: 1 } : { code: written.code })
}

for (let round = 0; round < args.rounds; round++) {
  const { value: store, code } = outcome(() => openStore(args.path))
  if (code !== undefined) {
    say({ code })
    continue
  }
  for (let n = random.below(40); n > 0; n--) visit(store)
  store.close()
}
