'use strict'

// Requests: native calls that return at once. What came of them is told later, for many at a time.

const native = require('./native')
const { DataStoreError } = require('./errors')
const { takers, hold, release } = require('./listener')

/** { resolve, reject } of each request that has no reply yet, by its id. */
const pending = new Map()
let lastId = 0

/** A promise of what came of a request. `submit` makes it, under the id that it is given; it
 *  returns false where no reply will come. What it throws rejects the promise. Until the reply
 *  comes the process is kept alive. */
function request (submit) {
  return new Promise((resolve, reject) => {
    const id = ++lastId
    if (submit(id) === false) return resolve(undefined)
    if (pending.size === 0) hold()
    pending.set(id, { resolve, reject })
  })
}

/** Whether this thread has requested something of which it does not know yet what came of it. */
function hasPending () {
  return pending.size > 0
}

function takeReplies () {
  const replies = native.takeReplies()
  for (let index = 0; index < replies.length; index += 2) {
    const { resolve, reject } = pending.get(replies[index])
    pending.delete(replies[index])
    const answer = replies[index + 1]
    if (Array.isArray(answer)) reject(new DataStoreError(...answer))
    else resolve(answer)
  }
  if (replies.length > 0 && pending.size === 0) release()
}

// One for each addon, however often this module is loaded (see output.js).
if (native.requests === undefined) {
  takers.push(takeReplies)
  native.requests = { request, hasPending }
}

module.exports = native.requests
