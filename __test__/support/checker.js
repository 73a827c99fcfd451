'use strict'

// Judges what several processes say they did to one store, from outside.
//
// A history is { calls, markers, final, sharesCommits }. A call is { id, at, end, call, result }:
// `at` and `end` are times of one clock; a call of a killed process has neither `end` nor `result`
// and may or may not have happened. Every written value is unique. `expected`, a version, comes
// with the value that was seen at it, `expectedValue`. `markers` gives the version of each
// transaction that left its marker, `final` what each key holds in the end, as { value, version }.
// With `sharesCommits` writes of different keys may have one version. Transactions then delete
// nothing, because a deletion and a later write of the key may share a version, too.
//
// Keys of three kinds, each with calls of its own:
//   shared     set, setIf, get, entry, transaction. All writes have known versions, so all calls
//              together must fit one order: that of versions, with every read at a point between
//              two of them, and no call before one that had ended when it began (strict
//              serializability; for calls of one key that is linearizability).
//   registers  set, setIf, deleteIf, get, entry, each key by itself. A deletion's own version is
//              not known, but which version it removed.
//   counters   increment, get. The sum tells an increment's place.

/** What is wrong with a history; empty if nothing is. */
function check (history) {
  const checker = new Checker(history)
  checker.learnVersions()
  checker.checkShared()
  for (const key of checker.keysOf('register')) checker.checkRegister(key)
  for (const key of checker.keysOf('counter')) checker.checkCounter(key)
  return checker.violations
}

const kindOf = (key) => key.split('/')[0]
const LAST = Number.MAX_SAFE_INTEGER

class Checker {
  violations = []
  #history
  #versionOf = new Map() // value -> version
  #lost = new Set() // values of killed calls that nobody ever saw

  constructor (history) {
    this.#history = history
  }

  #complain (what, ...details) {
    this.violations.push(`${what}: ${details.map((detail) => JSON.stringify(detail)).join(' ')}`)
  }

  keysOf (kind) {
    return Object.keys(this.#history.final).filter((key) => kindOf(key) === kind)
  }

  #callsOf (kind) {
    return this.#history.calls.filter(({ call }) => kindOf(call.key ?? 'shared/') === kind)
  }

  /** Learns which version each value has; no two commits may share one, nor two writes of a key. */
  learnVersions () {
    const ownersOf = new Map() // version -> calls
    for (const { id, call, result } of this.#history.calls) {
      let version
      if (call.kind === 'transaction') {
        version = this.#history.markers[id]
        for (const value of Object.values(call.writes)) this.#learn(value, version)
        if (version === undefined && result !== undefined && Object.keys(call.writes).length > 0) {
          this.#complain('an acknowledged transaction left no trace', id)
        }
      } else if (result?.version !== undefined && call.kind.startsWith('set')) {
        version = result.version
        this.#learn(call.value, version)
      }
      if (version === undefined) continue
      const owners = ownersOf.get(version) ?? []
      const keys = writtenBy(call)
      for (const other of owners) {
        const isAllowed = this.#history.sharesCommits === true &&
          !writtenBy(other.call).some((key) => keys.includes(key))
        if (!isAllowed) this.#complain('two commits with one version', id, other.id)
      }
      ownersOf.set(version, [...owners, { id, call }])
    }
    // A killed call's version is known if somebody saw its value.
    for (const { call, result } of this.#history.calls) {
      if (call.kind === 'entry' && result?.value) this.#learn(result.value, result.version)
      if (call.expectedValue) this.#learn(call.expectedValue, call.expected)
    }
    for (const { value, version } of Object.values(this.#history.final)) {
      if (typeof value === 'string') this.#learn(value, version)
    }
    for (const { call, result } of this.#history.calls) {
      const isLost = call.kind.startsWith('set') && result === undefined
      if (isLost && !this.#versionOf.has(call.value)) this.#lost.add(call.value)
    }
  }

  #learn (value, version) {
    if (value === null || version === undefined) return
    const known = this.#versionOf.get(value)
    if (known !== undefined && known !== version) {
      this.#complain('a value with two versions', value, known, version)
    }
    this.#versionOf.set(value, version)
  }

  // ------------------------------------------------------------------ shared keys

  checkShared () {
    const calls = this.#callsOf('shared')
    const timelines = Object.fromEntries(this.keysOf('shared').map((key) => [key, []]))
    for (const { id, call, result } of calls) {
      if (call.kind === 'transaction') {
        const version = this.#history.markers[id]
        if (version === undefined) continue
        for (const [key, value] of Object.entries(call.writes)) {
          timelines[key].push({ version, value })
        }
      } else if (call.kind.startsWith('set') && !result?.conflict) {
        const version = this.#versionOf.get(call.value)
        if (version !== undefined) timelines[call.key].push({ version, value: call.value })
      }
    }
    for (const timeline of Object.values(timelines)) sort(timeline)
    const steps = calls.map((one) => this.#stepOf(one, timelines)).filter(Boolean)
    for (const key of this.keysOf('shared')) steps.push(this.#finalStep(key, timelines[key]))
    this.#sweep(steps.filter(Boolean))
  }

  /** A call as { id, at, end, spans } of a read, { ..., version } of a write. */
  #stepOf ({ id, at, end = LAST, call, result }, timelines) {
    const { reads, version } = this.#effectOf(id, call, result)
    if (reads === undefined) return undefined
    let spans = [[0, LAST]]
    for (const [key, read] of Object.entries(reads)) {
      const found = this.#spansOf(key, read, timelines[key], id)
      if (found === undefined) continue
      spans = intersect(spans, found)
    }
    if (version === undefined) {
      if (spans.length > 0) return { id, at, end, spans }
      this.#complain('reads that were never true together', id, call, result)
      return undefined
    }
    // What a write has read must be so just before it.
    if (!spans.some(([low, high]) => low < version && version <= high)) {
      this.#complain('a write upon reads that were out of date', id, call, result, version)
    }
    return { id, at, end, version }
  }

  /** What a call has read, key -> { value } or { version }, and the version it wrote. */
  #effectOf (id, call, result) {
    const { kind, key, expected } = call
    if (kind === 'transaction') {
      const version = this.#history.markers[id]
      if (result === undefined && version === undefined) return {}
      const reads = Object.entries(result?.reads ?? {}).map(([key, value]) => [key, { value }])
      return { reads: Object.fromEntries(reads), version }
    }
    if (kind.startsWith('set')) {
      const version = this.#versionOf.get(call.value)
      if (version === undefined || result?.conflict) return {}
      return { reads: kind === 'setIf' ? { [key]: { version: expected } } : {}, version }
    }
    return result === undefined ? {} : { reads: { [key]: { value: result.value } } }
  }

  /** In which spans of versions a key was as it was read; undefined where that cannot be known. */
  #spansOf (key, read, timeline, id) {
    const isIt = read.version === undefined
      ? (event) => event.value === read.value
      : (event) => (event.value === null ? 0 : event.version) === read.version
    const all = [{ version: 0, value: null }, ...timeline]
    const spans = all.flatMap((event, index) =>
      isIt(event) ? [[event.version, all[index + 1]?.version ?? LAST]] : [])
    if (spans.length > 0) return spans
    if (this.#lost.has(read.value)) return undefined
    this.#complain('a read of what nobody wrote', id, key, read)
    return undefined
  }

  #finalStep (key, timeline) {
    const { value } = this.#history.final[key]
    const spans = this.#spansOf(key, { value }, timeline, 'the end')
    return spans && { id: `the end of ${key}`, at: LAST, end: LAST, spans }
  }

  // ------------------------------------------------------------------ registers

  checkRegister (key) {
    const calls = this.#callsOf('register').filter(({ call }) => call.key === key)
    const inDoubt = calls.filter(({ call, result }) => call.kind === 'deleteIf' && !result)
    // Any way in which the killed deletions may have happened will do.
    let complaints
    for (let chosen = 0; chosen < 2 ** inDoubt.length; chosen++) {
      const happened = new Set(inDoubt.filter((_, index) => chosen & (1 << index)))
      const before = this.violations
      this.violations = []
      this.#checkRegisterWith(key, calls, happened)
      complaints = this.violations
      this.violations = before
      if (complaints.length === 0) return
    }
    this.violations.push(...complaints)
  }

  #checkRegisterWith (key, calls, happened) {
    const timeline = []
    const steps = []
    const deletes = (one) =>
      one.call.kind === 'deleteIf' && (one.result?.deleted || happened.has(one))
    for (const one of calls) {
      const version = this.#versionOf.get(one.call.value)
      if (deletes(one)) timeline.push({ version: one.call.expected + 0.5, value: null })
      else if (version !== undefined) timeline.push({ version, value: one.call.value })
    }
    sort(timeline)
    if (timeline.some(({ version }, index) => version === timeline[index + 1]?.version)) {
      this.#complain('an entry that was deleted twice', key)
    }
    for (const one of calls) {
      if (deletes(one)) {
        const { id, at, end = LAST } = one
        steps.push({ id, at, end, version: one.call.expected + 0.5 })
      } else if (one.call.kind !== 'deleteIf') {
        steps.push(this.#stepOf(one, { [key]: timeline }))
      }
    }
    steps.push(this.#finalStep(key, timeline))
    this.#sweep(steps.filter(Boolean))
  }

  // ------------------------------------------------------------------ counters

  checkCounter (key) {
    const calls = this.#callsOf('counter').filter(({ call }) => call.key === key)
    const sums = calls.filter(({ call, result }) => call.kind === 'increment' && result)
      .map(({ result }) => result.value)
    const killed = calls.filter(({ call, result }) => call.kind === 'increment' && !result).length
    const final = this.#history.final[key].value ?? 0
    if (new Set(sums).size !== sums.length) this.#complain('two increments with one sum', key)
    if (final < sums.length || final > sums.length + killed) {
      this.#complain('increments lost or invented', key, final, sums.length, killed)
    }
    const steps = calls.filter(({ result }) => result).map(({ id, at, end, call, result }) => {
      const value = result.value ?? 0
      return call.kind === 'increment'
        ? { id, at, end, version: value }
        : { id, at, end, spans: [[value, value + 1]] }
    })
    steps.push({ id: `the end of ${key}`, at: LAST, end: LAST, spans: [[final, final + 1]] })
    this.#sweep(steps)
  }

  // ------------------------------------------------------------------ the order

  /** Places every step at a point in the order of versions, none before one that had ended when
   *  it began: each read as early as it can be, which leaves the most room to the others. */
  #sweep (steps) {
    const events = steps.flatMap((step) =>
      [{ time: step.at, begins: true, step }, { time: step.end, begins: false, step }])
    // At one time, beginnings come first: such calls are concurrent.
    events.sort((a, b) => a.time - b.time || b.begins - a.begins)
    let latest = { point: -1 }
    for (const { begins, step } of events) {
      if (!begins) {
        if (step.point > latest.point) latest = step
      } else if (step.version !== undefined) {
        step.point = step.version
        if (step.version <= latest.point) {
          this.#complain('a write before one that had ended when it began', step.id, latest.id)
        }
      } else {
        const span = step.spans.find(([, high]) => high > latest.point)
        step.point = span === undefined ? -1 : Math.max(span[0], latest.point)
        if (span === undefined) this.#complain('a stale read', step.id, latest.id)
      }
    }
  }
}

const writtenBy = ({ key, writes }) => writes === undefined ? [key] : Object.keys(writes)

const sort = (timeline) => timeline.sort((a, b) => a.version - b.version)

/** The spans that two lists of spans have in common. */
function intersect (some, others) {
  return some.flatMap(([low, high]) => others
    .map((other) => [Math.max(low, other[0]), Math.min(high, other[1])])
    .filter(([low, high]) => low < high))
}

module.exports = { check }
