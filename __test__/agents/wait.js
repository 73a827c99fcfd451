'use strict'

// What a waiting process does with its life.

const { args, say } = require('../support/agent')
const { openStore } = require(args.package ?? '../..')
const { generator } = require('../support/random')

const store = openStore(args.path)
const namespace = store.useNamespace('n')

const tasks = {
  /** Answers the other player's number, a thousand times, woken by nothing but its writes. */
  async 'ping-pong' () {
    const mine = store.useNamespace(args.mine)
    const theirs = store.useNamespace(args.theirs)
    for (let round = 1; round <= args.rounds; round++) {
      if (args.first) mine.set('round', round)
      await theirs.waitFor('round', { predicate: (value) => value === round })
      if (!args.first) mine.set('round', round)
    }
    say({ rounds: args.rounds })
  },
  /** Has watchers, and waits for nothing. */
  async idle () {
    const watchers = [namespace.watch(), store.watch(), namespace.watch({ key: 'key' })]
    for (const watcher of watchers) await watcher.next()
    const controller = new AbortController()
    const waiting = [
      namespace.waitFor('never', { signal: controller.signal }),
      namespace.waitFor('never', { timeout: 1 })
    ]
    controller.abort()
    say({ outcomes: (await Promise.allSettled(waiting)).map(({ status }) => status) })
  },
  /** Waits for a change, a key, and the end of a store. */
  async pending () {
    const change = namespace.watch({ key: 'awaited' }).next()
    const value = namespace.waitFor('awaited')
    say({ waiting: true })
    say({ told: (await change).value.value, value: await value })
  },
  /** Exits somewhere among changes that stream in. */
  async exit () {
    const random = generator(args.seed)
    let left = random.below(40)
    const predicate = () => false
    for (let n = 0; n < 200; n++) namespace.waitFor(`key ${n}`, { predicate })
    setTimeout(() => process.exit(0), random.below(60))
    say({ waiting: true })
    for (const watcher of [namespace.watch(), store.watch()]) {
      (async () => {
        for await (const { key } of watcher) {
          namespace.has(key)
          if (left-- === 0) process.exit(0)
        }
      })()
    }
  }
}

tasks[args.task]()
