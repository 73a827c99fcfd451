'use strict'

// Random numbers that can be had again: a failing run prints its seed, and
// COMMONHOLD_TEST_SEED=<seed> repeats it.

/** A generator (mulberry32); prints its seed as a diagnostic of the test. */
function seededRandom (t) {
  const seed = Number(process.env.COMMONHOLD_TEST_SEED ?? (Math.random() * 2 ** 32) >>> 0)
  t.diagnostic(`seed ${seed}`)
  return generator(seed)
}

function generator (seed) {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  /** A whole number from 0 to below `end`. */
  const below = (end) => Math.floor(next() * end)
  /** One element of a list. */
  const pick = (list) => list[below(list.length)]
  return { seed, next, below, pick }
}

module.exports = { generator, seededRandom }
