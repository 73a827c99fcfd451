'use strict'

// Requests: native calls that return at once. What came of them is told later, for many at a time.

const native = require('./native')
const { DataStoreError } = require('./errors')
const { takers, hold, release } = require('./listener')

// The functions that settle the promise of each request that has no reply yet, by its id. An id is
// used again after its reply. With a Map, and an object for each, a set took a third more CPU time.
const resolvers = []
const rejecters = []
const freeIds = []

/** More ids than that are forgotten when nothing is pending, for the memory they take. */
const KEPT_IDS = 10_000

let resolveNew
let rejectNew
const keepSettlers = (resolve, reject) => {
  resolveNew = resolve
  rejectNew = reject
}

/** A promise of what came of a request. `submit` makes it, under the id that it is given; it
 *  returns false where no reply will come. What it throws rejects the promise. Until the reply
 *  comes the process is kept alive. */
function request (submit) {
  const promise = new Promise(keepSettlers)
  const [resolve, reject] = [resolveNew, rejectNew]
  if (!hasPending()) hold()
  const id = freeIds.pop() ?? resolvers.length
  resolvers[id] = resolve
  rejecters[id] = reject
  try {
    if (submit(id) === false) settled(id, resolve, undefined)
  } catch (error) {
    settled(id, reject, error)
  }
  if (!hasPending()) release()
  return promise
}

function settled (id, settle, outcome) {
  resolvers[id] = rejecters[id] = undefined
  freeIds.push(id)
  settle(outcome)
}

/** Whether this thread has requested something of which it does not know yet what came of it. */
function hasPending () {
  return freeIds.length < resolvers.length
}

function takeReplies () {
  const replies = native.takeReplies()
  for (let index = 0; index < replies.length; index += 2) {
    const [id, answer] = [replies[index], replies[index + 1]]
    if (Array.isArray(answer)) settled(id, rejecters[id], new DataStoreError(...answer))
    else settled(id, resolvers[id], answer)
  }
  if (replies.length === 0 || hasPending()) return
  release()
  if (resolvers.length > KEPT_IDS) resolvers.length = rejecters.length = freeIds.length = 0
}

// One for each addon, however often this module is loaded (see output.js).
if (native.requests === undefined) {
  takers.push(takeReplies)
  native.requests = { request, hasPending }
}

module.exports = native.requests
