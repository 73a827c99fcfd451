'use strict'

// Removes what a finished job has left behind and prints how many keys that were.

const { useNamespace } = require('../..')

const job = process.argv[2]
console.log(JSON.stringify({
  temp: useNamespace(`temp:${job}`).clear(),
  cache: useNamespace('cache').clear({ prefix: `${job}:` })
}))
