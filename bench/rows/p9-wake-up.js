'use strict'

// P9: from a write in one process to the callback in another that waits for it. A strict set has
// the message on the disk before anybody hears of it, a publish of Redis writes nothing, so three
// times are told apart: the whole, from the call; the write, as long as its caller waits for it;
// and the news alone, which begins for a publish with its call, for a strict set when it returns.

const { setTimeout: sleep } = require('node:timers/promises')
const { now } = require('../arrivals')
const { randomFrom } = require('../documents')
const { quantile } = require('../statistics')

const MESSAGES = 250
const SEED = 9

const P50 = { medianAtMost: 150e3 }
const P99 = { medianAtMost: 2000e3 }
const PUBLISH = { peers: ['redis-publish'], atLeast: 2 }
const DURABLE = { peers: ['redis-durable'], atLeast: 2 }

/** Sends one message and returns when its call began and when it was over. */
async function sendOne (store, state) {
  const calledAt = now()
  const pending = store.send({ sequence: state.sequence++, sentAt: calledAt })
  if (pending instanceof Promise) await pending
  return { calledAt, returnedAt: now() }
}

/**
 * The time at which each message had arrived. A receiver that is told of the latest state only has
 * got a superseded message when a later one arrives.
 */
function arrivalTimes (first, count, arrivals) {
  const times = []
  let at = 0
  for (let sequence = first; sequence < first + count; sequence++) {
    while (arrivals[at][0] < sequence) at++
    times.push(arrivals[at][1])
  }
  return times
}

function measure (store, sent, receivedAt) {
  const whole = sent.map(({ calledAt }, i) => receivedAt[i] - calledAt)
  const write = sent.map(({ calledAt, returnedAt }) => returnedAt - calledAt)
  const measures = {
    'the whole, p50': quantile(whole, 0.5),
    'the whole, p99': quantile(whole, 0.99),
    'the write, p50': quantile(write, 0.5)
  }
  if (store.newsFrom) {
    const news = sent.map((times, i) => receivedAt[i] - times[store.newsFrom])
    measures['the news alone, p50'] = quantile(news, 0.5)
    measures['the news alone, p99'] = quantile(news, 0.99)
  }
  return measures
}

/** Messages with gaps of so many milliseconds, drawn anew for each. */
const pacedCase = (name, shortestMs, longestMs) => ({
  name,
  unit: 'message',
  measures: [
    { of: 'the whole, p50', targets: [P50, PUBLISH, DURABLE] },
    { of: 'the whole, p99', targets: [P99] },
    { of: 'the news alone, p50', targets: [P50, PUBLISH] },
    { of: 'the news alone, p99', targets: [P99] },
    { of: 'the write, p50' }
  ],

  async prepare (store) {
    const state = { sequence: 0, random: randomFrom(SEED) }
    await sendOne(store, state)
    return state
  },

  /** What arrives, as long as nothing is superseded before it is read. */
  async answer (store, state) {
    const sequences = []
    for (let i = 0; i < 3; i++) {
      const arrivals = await store.takeArrivals(state.sequence - 1)
      sequences.push(arrivals.at(-1)[0])
      await sendOne(store, state)
    }
    await store.takeArrivals(state.sequence - 1)
    return sequences
  },

  reset () {},

  async run (store, state) {
    const first = state.sequence
    const sent = []
    for (let i = 0; i < MESSAGES; i++) {
      await sleep(shortestMs + Math.floor(state.random() * (longestMs - shortestMs + 1)))
      sent.push(await sendOne(store, state))
    }
    const arrivals = await store.takeArrivals(state.sequence - 1)
    return measure(store, sent, arrivalTimes(first, MESSAGES, arrivals))
  }
})

module.exports = {
  id: 'P9',
  title: 'wake-up in another process',
  product: 'commonhold-watch',
  peers: ['commonhold-watch', 'commonhold-wait-for', 'redis-publish', 'redis-durable'],
  cases: [
    pacedCase('1 to 3 ms apart', 1, 3),
    pacedCase('20 ms apart', 20, 20)
  ]
}
