'use strict'

// What tests do with the changes that a watcher tells.

/** The next `count` changes. */
async function take (watcher, count) {
  const changes = []
  while (changes.length < count) {
    const { value, done } = await watcher.next()
    if (done) throw new Error(`the watcher ended after ${changes.length} of ${count} changes`)
    changes.push(value)
  }
  return changes
}

/** The changes up to the first one that `isEnd` accepts, which is the last of them. */
async function takeUntil (watcher, isEnd) {
  const changes = []
  for (;;) {
    const { value, done } = await watcher.next()
    if (done) throw new Error(`the watcher ended after ${changes.length} changes`)
    changes.push(value)
    if (isEnd(value)) return changes
  }
}

/** What a watcher that knew `state` (keys to values) knows after these changes of a namespace. */
function fold (changes, state = {}) {
  const known = new Map(Object.entries(state))
  for (const change of changes) {
    if (change.type === 'set') known.set(change.key, change.value)
    else if (change.type === 'clear' || change.type === 'reset') {
      const prefix = change.prefix ?? ''
      for (const key of known.keys()) if (key.startsWith(prefix)) known.delete(key)
    } else known.delete(change.key)
  }
  return Object.fromEntries(known)
}

/** Changes without what differs from run to run: `type key=value`, `!` after the last of a commit. */
function brief (changes) {
  return changes.map(({ type, key, prefix, value, last }) => {
    const subject = key ?? (prefix === undefined ? '' : `${prefix}*`)
    const equals = value === undefined ? '' : `=${JSON.stringify(value)}`
    return `${type} ${subject}${equals}${last ? '!' : ''}`
  })
}

module.exports = { brief, fold, take, takeUntil }
