'use strict'

// A splitter, three workers and a collector. First the two races of get-and-set, made certain by
// a barrier between reading and writing; then `update` and `increment` at the same barrier; then
// the whole job, with the workers let loose.

const { join } = require('node:path')
const { runExample, message, check } = require('../harness')

const workers = ['worker-1', 'worker-2', 'worker-3']
const limit = 300000
const primesBelowLimit = 25997
const taskCount = 60

runExample('fan-out', async ({ store, start }) => {
  const agent = (script, options) => start(join(__dirname, `${script}.js`), options)

  check('get and set: three workers own one task, and two of three counts are lost',
    await race(store, agent, 'get-and-set'), { owners: 3, completed: 1 })
  check('update and increment: one owner, no count lost',
    await race(store, agent, 'atomic'), { owners: 1, completed: 3 })

  await agent('splitter', { args: [limit, taskCount].map(String) }).succeeded()
  const early = await agent('collector').ended
  check('the collector does not take an unfinished job', early.stderr.trim(),
    `in progress: 0 of ${taskCount}`)

  const running = workers.map(name => agent('worker', { name }))
  const done = (await Promise.all(running.map(worker => worker.succeeded()))).map(Number)
  await agent('collector').succeeded()

  const work = store.useNamespace('fanout:primes')
  check('tasks counted', work.get('completed'), taskCount)
  check('tasks done, by the workers\' own account', done.reduce((a, b) => a + b), taskCount)
  check(`primes below ${limit}`, work.get('result'), primesBelowLimit)
  return `both races shown and cured; ${taskCount} tasks done once each (${done.join(' + ')})`
})

/** Sends three racers at one task and tells how many own it, and how many were counted. */
async function race (store, agent, manner) {
  const work = store.useNamespace('fanout:race')
  work.setMany({ 'task:0': { status: 'pending' }, completed: 0 })

  const racers = workers.map(name => agent('racer', { name, args: [manner] }))
  const finished = racers.map(racer => message(racer, 'finished'))
  for (const step of ['claim', 'count']) {
    await Promise.all(racers.map(racer => message(racer, 'has read')))
    for (const racer of racers) racer.child.send(step)
  }
  const claims = await Promise.all(finished)
  await Promise.all(racers.map(racer => racer.succeeded()))
  const owners = claims.filter(({ claimed }) => claimed).length
  return { owners, completed: work.get('completed') }
}
