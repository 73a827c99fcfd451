'use strict'

// Takes tasks from the queue until the collector has put down the result.

const { dataStore, useNamespace } = require('../..')

async function run () {
  const end = new AbortController()
  useNamespace('fanout:primes').waitFor('result', { timeout: 60000 }).then(() => end.abort())
  let done = 0
  for await (const task of dataStore.useQueue('fanout:primes').consume({ signal: end.signal })) {
    try {
      try {
        task.complete(countPrimes(task.item.from, task.item.to))
        done += 1
      } catch (error) {
        task.fail(error, { retryIn: 1000 })
      }
    } catch (error) {
      if (error.code !== 'ERR_LEASE_LOST') throw error // another worker has it
    }
  }
  console.log(done)
}

function countPrimes (from, to) {
  let primes = 0
  for (let n = from; n < to; n += 1) if (isPrime(n)) primes += 1
  return primes
}

function isPrime (n) {
  for (let divisor = 2; divisor * divisor <= n; divisor += 1) if (n % divisor === 0) return false
  return n > 1
}

run()
