'use strict'

// An async iterator over the tasks of a queue. It sleeps while there is nothing to claim, and is
// woken by a change of the queue, by the time of a delayed task or by the end of a lease.

const { onAbort } = require('./abort')
const { Signal } = require('./signals')
const { Task } = require('./task')

// How long a timer runs at most: the system's clock may be set meanwhile.
const LONGEST_WAIT_MS = 60_000

class Consumer {
  #source
  #wakeUp
  #timer
  #isEnded = false
  /** Whether #serve runs, and whether it was called meanwhile. */
  #isServing = false
  #isCalled = false
  #isClaiming = false
  /** Pending calls of next(), in the order in which they get tasks. */
  #waiting = []
  /** Tasks whose loop bodies run. */
  #running = []
  #forgetSignal

  constructor (source, abortSignal) {
    this.#source = source
    this.#isEnded = abortSignal?.aborted ?? false
    this.#forgetSignal = onAbort(abortSignal, () => this.#end())
  }

  [Symbol.asyncIterator] () {
    return this
  }

  next () {
    this.#endBody()
    if (this.#isEnded) return Promise.resolve({ value: undefined, done: true })
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject })
      this.#serve()
    })
  }

  return (value) {
    while (this.#running.length > 0) this.#endBody()
    this.#end()
    return Promise.resolve({ value, done: true })
  }

  [Symbol.asyncDispose] () {
    return this.return().then(() => {})
  }

  // Where several bodies share the iterator, one whose task is settled is over; else the oldest.
  #endBody () {
    const settled = this.#running.findIndex(Task.isSettled)
    const [task] = this.#running.splice(Math.max(settled, 0), 1)
    if (task !== undefined) Task.release(task)
  }

  async #serve () {
    this.#isCalled = true
    if (this.#isServing) return
    this.#isServing = true
    while (this.#isCalled && this.#waiting.length > 0) {
      this.#isCalled = false
      try {
        await this.#look()
      } catch (error) {
        this.#end(error.code === 'ERR_CLOSED' ? undefined : error)
      }
    }
    this.#isServing = false
  }

  async #look () {
    if (!await this.#deliver()) {
      if (this.#isEnded) return
      // Armed before the next look: what is pushed from here on wakes this consumer.
      this.#wakeUp ??= new Signal(this.#source.subscribe(), () => this.#serve())
      this.#wakeUp.arm()
      if (!await this.#deliver()) {
        if (!this.#isEnded) this.#setTimer(this.#source.readyIn())
        return
      }
    }
    // A long queue must not keep timers and other events waiting: the next task comes next turn.
    await new Promise(setImmediate)
    this.#isCalled = true
  }

  /** Gives a task to the first pending next(); returns whether there was one. */
  async #deliver () {
    this.#isClaiming = true
    let task
    try {
      task = await this.#source.claim()
    } finally {
      this.#isClaiming = false
    }
    if (task === undefined) {
      if (this.#isEnded) this.#end()
      return false
    }
    if (!this.#isEnded) {
      Task.hold(task)
      this.#running.push(task)
    }
    this.#waiting.shift().resolve({ value: task, done: false })
    if (this.#waiting.length === 0) this.#sleepNot()
    return true
  }

  #setTimer (readyIn) {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (readyIn < 0) return
    this.#timer = setTimeout(() => this.#serve(), Math.min(readyIn, LONGEST_WAIT_MS))
  }

  /** Nobody waits: nothing may keep the process alive. */
  #sleepNot () {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#wakeUp?.close()
    this.#wakeUp = undefined
  }

  #end (error) {
    this.#isEnded = true
    this.#forgetSignal()
    this.#sleepNot()
    // A claim that is under way may bring a task: it is for the first one.
    const first = this.#isClaiming ? 1 : 0
    for (const { resolve, reject } of this.#waiting.splice(first)) {
      if (error === undefined) resolve({ value: undefined, done: true })
      else reject(error)
    }
  }
}

module.exports = { Consumer }
