'use strict'

// Takes every task that nobody else has taken.

const { dataStore, useNamespace } = require('../..')

const worker = dataStore.agent
const work = useNamespace('fanout:primes')
let done = 0

for (const key of work.listKeys({ prefix: 'task:' })) {
  const task = claim(key)
  if (!task) continue
  work.set(key, { ...task, status: 'complete', result: countPrimes(task.from, task.to) })
  work.increment('completed')
  done += 1
}
console.log(done)

/** The task if it is ours now. Reading first is only a short cut: update decides. */
function claim (key) {
  if (work.get(key).status !== 'pending') return undefined
  const task = work.update(key, task =>
    task.status === 'pending' ? { ...task, status: 'processing', worker } : task)
  return task.worker === worker ? task : undefined
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
