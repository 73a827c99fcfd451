'use strict'

// A splitter, workers and a collector. First the two races of get-and-set, made certain by a
// barrier between reading and writing; then `update` and `increment` at the same barrier; then the
// whole job over a queue, with one worker killed while it holds a task.

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

  const collector = agent('collector')
  await agent('splitter', { args: [limit, taskCount].map(String) }).succeeded()
  const lost = await killOneThatHoldsATask(agent)
  const running = workers.map(name => agent('worker', { name }))
  await collector.succeeded()
  const done = (await Promise.all(running.map(worker => worker.succeeded()))).map(Number)

  const queue = store.useQueue('fanout:primes')
  const { status, attempt } = queue.get(lost)
  check('the task of the killed worker', { status, attempt }, { status: 'completed', attempt: 2 })
  check('the queue at the end', queue.stats(),
    { pending: 0, delayed: 0, claimed: 0, completed: taskCount, dead: 0 })
  check('tasks done, by the workers\' own account', done.reduce((a, b) => a + b), taskCount)
  check(`primes below ${limit}`, store.useNamespace('fanout:primes').get('result'),
    primesBelowLimit)
  return `both races shown and cured; 1 worker killed, ${taskCount} tasks done once each ` +
    `(${done.join(' + ')})`
})

/** Kills a worker that has claimed a task; returns the id of the task. */
async function killOneThatHoldsATask (agent) {
  const worker = agent('doomed')
  const { id } = await message(worker, 'holds')
  worker.stop()
  await worker.ended
  return id
}

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
