'use strict'

// What is pushed to a queue.

const { randomUUID } = require('node:crypto')
const { encode } = require('./codec')
const { DataStoreError, typeError } = require('./errors')
const { checkDelay, checkOptions, checkTaskId } = require('./options')
const { packEntries } = require('./pack')

/** The id of a task that is pushed, and how many milliseconds it waits. */
function checkPush (options) {
  const checked = checkOptions(options, ['id', 'delay'], 'push')
  const id = checked.id === undefined ? randomUUID() : checkTaskId(checked.id)
  return { id, delay: checkDelay(checked.delay, 'delay') ?? 0 }
}

/** Pairs of an id and an item. */
function checkItems (items, options) {
  if (options !== undefined) {
    throw typeError('ERR_INVALID_OPTION', 'pushMany takes no options: push() takes id and delay')
  }
  if (typeof items?.[Symbol.iterator] !== 'function' || typeof items === 'string') {
    throw typeError('ERR_INVALID_VALUE', 'pushMany takes an array or another iterable of items')
  }
  return Array.from(items, (item) => [randomUUID(), item])
}

/** Calls `send(buffer, bytes)` with what the pairs of id and item make. `nameOf` names an item, by
 *  its position, in messages. */
function packTasks (tasks, nameOf, send) {
  let position = -1
  const check = (item) => checkItem(item, nameOf(++position))
  const sendPacked = (packed, bytes) => {
    position = -1
    return send(packed, bytes)
  }
  try {
    return packEntries(tasks, check, 'push', sendPacked)
  } catch (error) {
    // The message names the id, which may be a generated one that nobody knows.
    if (position >= 0 && error instanceof DataStoreError) {
      encode(checkItem(tasks[position][1], nameOf(position)), nameOf(position))
    }
    throw error
  }
}

function checkItem (item, name) {
  if (item === undefined) {
    throw typeError('ERR_INVALID_VALUE', `${name} is undefined: use null for none`)
  }
  return item
}

module.exports = { checkPush, checkItems, packTasks }
