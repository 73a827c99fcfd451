'use strict'

// Ways to call an operation over and over for a time. Each returns how often it was called, and
// when the first call began and the last one ended.

const { now } = require('./arrivals')

const never = new Int32Array(new SharedArrayBuffer(4))

/** Sleeps without giving up the thread; finer than a timer of the event loop, which has 1 ms. */
function sleepUntil (time) {
  const milliseconds = (time - now()) / 1e6
  if (milliseconds > 0) Atomics.wait(never, 0, 0, milliseconds)
}

/** So many calls are under way at any time; the last of them are awaited. */
async function keepInFlight (inFlight, ms, operate) {
  let count = 0
  const startedAt = now()
  const until = startedAt + ms * 1e6
  const one = async () => {
    while (now() < until) {
      const pending = operate(count++)
      if (pending instanceof Promise) await pending
    }
  }
  await Promise.all(Array.from({ length: inFlight }, one))
  return { count, startedAt, endedAt: now() }
}

/**
 * Synchronous calls at a steady rate, one after another without pause where it is `Infinity`. A
 * call that is late is made at once. `times` are the nanoseconds that each has taken.
 */
function keepPace (perSecond, ms, operate) {
  const times = []
  const startedAt = now()
  const until = startedAt + ms * 1e6
  let endedAt = startedAt
  while (endedAt < until) {
    sleepUntil(startedAt + times.length * 1e9 / perSecond)
    const calledAt = now()
    operate(times.length)
    endedAt = now()
    times.push(endedAt - calledAt)
  }
  return { count: times.length, startedAt, endedAt, times }
}

module.exports = { keepInFlight, keepPace }
