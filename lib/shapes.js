'use strict'

// Readers of objects whose property names are known beforehand.
//
// Most objects of a store have the names that other objects had. Once a sequence of names has been
// seen often enough, a function is generated that expects it: it compares the bytes of each name
// with constants and makes the object by one literal. A document of 14 properties is read in half
// the time (1,260 to 600 ns on Node.js 20), a table of 50 rows in a third (15.9 to 4.9 us): storing
// one property after another under a name that varies is what is slow in V8.
//
// Nothing is trusted: at the first byte that differs, the rest is read property by property. Where
// code must not be generated (a content security policy), everything is.

const { input } = require('./decode-input')

const SHAPE_SLOTS = 1024
const MAX_PROPERTIES = 64
const MAX_NAME_BYTES = 31

// Of the objects that are read property by property, one in eight is looked at, so that objects
// that never repeat cost little; four that agree are a shape.
const SAMPLE = 8
const AGREEING = 4

// What bounds the memory and time that generated functions take.
const MAX_GENERATED = 1024
const MAX_MISSES = 4096

/** Objects of a size whose first name has a hash, and a reader of those seen most lately. */
class Slot {
  read = null
  readOne = null
  names = []
  agreeing = 0
  sample = 0
  misses = 0
}

const slots = Array.from({ length: SHAPE_SLOTS }, () => new Slot())
let generated = 0
let isForbidden = false

const mayGenerate = () => generated < MAX_GENERATED && !isForbidden

/** The slot of the object of `size` properties that is next; null if there cannot be one. */
function slotOf (size) {
  const { bytes, view, at } = input
  if (size === 0 || size > MAX_PROPERTIES || at + 4 > input.limit) return null
  // The header and up to three bytes of the name, without what follows a shorter name.
  const nameBytes = bytes[at] & 0x1f
  const head = nameBytes < 3 ? view.getInt32(at) >>> (24 - 8 * nameBytes) : view.getInt32(at)
  return slots[Math.imul(head + size, 0x9e3779b1) >>> 22]
}

/** Takes note of an object that was read property by property. */
function learn (slot, size, object, readValue, readRest) {
  if (++slot.sample % SAMPLE !== 0 || !mayGenerate()) return
  const names = Object.keys(object)
  if (names.length !== size) return
  if (names.length === slot.names.length && names.every((name, i) => name === slot.names[i])) {
    slot.agreeing++
  } else {
    slot.names = names
    slot.agreeing = 1
  }
  if (slot.agreeing === AGREEING) generate(slot, readValue, readRest)
}

/** Gives up a reader that met too many objects of another shape. */
function miss (slot) {
  if (++slot.misses < MAX_MISSES || !mayGenerate()) return
  slot.misses = 0
  slot.agreeing = 0
  slot.names = []
  slot.read = slot.readOne = null
}

function generate (slot, readValue, readRest) {
  const names = slot.names.map((name) => Buffer.from(name))
  const isSimple = slot.names.every((name) => name.isWellFormed() && name !== '__proto__')
  if (!isSimple || names.some(({ length }) => length > MAX_NAME_BYTES)) return
  try {
    // eslint-disable-next-line no-new-func
    const make = new Function('input', 'slot', 'names', 'readValue', 'readRest', source(names))
    Object.assign(slot, make(input, slot, slot.names, readValue, readRest))
    generated++
  } catch {
    // Code generation is forbidden, and will remain so.
    isForbidden = true
  }
}

/** The text of two functions that read an object of these names (each as UTF-8).
 *
 *  `read` is for many values at once, which are kept. Once enough objects of a literal have
 *  survived, V8 makes all of them in the old generation; the value of a `get` is dropped at once
 *  and would then wait for a full collection (`get` of a document took 2.6 instead of 1.5 us after
 *  a `getAll`). A literal that begins with a spread is not moved there, so `readOne` has one. */
function source (names) {
  const values = names.map((_, i) => `v${i}`)
  const rest = (i) => `return readRest(slot, names, [${values.slice(0, i).join(', ')}], size)`
  const steps = names.map((name, i) => {
    const expected = Buffer.concat([Buffer.of(0xa0 | name.length), name])
    const { length } = expected
    // A value follows the name, so a name that ends at the limit is damaged.
    return `
    at = input.at
    if (at + ${length} >= input.limit || ${differs(expected)}) ${rest(i)}
    input.at = at + ${length}
    const v${i} = readValue()`
  })
  const properties = names.map((name, i) => `${JSON.stringify(name.toString())}: v${i}`)
  const reader = (first) => `function (size) {
    const { bytes, view } = input
    let at
    if (size !== ${names.length}) ${rest(0)}${steps.join('')}
    return { ${first}${properties.join(', ')} }
  }`
  return `'use strict'
  const nothing = {}
  return { read: ${reader('')}, readOne: ${reader('...nothing, ')} }`
}

/** An expression: whether the bytes at `at`, of which there is one more, are not these. */
function differs (expected) {
  const { length } = expected
  if (length === 1) return `bytes[at] !== ${expected[0]}`
  if (length === 2) return `view.getUint16(at) !== ${expected.readUInt16BE()}`
  if (length === 3) return `view.getInt32(at) >>> 8 !== ${expected.readUIntBE(0, 3)}`
  const tests = []
  for (let i = 0; i < length; i += 4) {
    // The last four bytes may overlap those before.
    const offset = Math.min(i, length - 4)
    tests.push(`view.getInt32(at + ${offset}) !== ${expected.readInt32BE(offset)}`)
  }
  return tests.join(' || ')
}

/** How many readers have been generated in this thread. */
const generatedReaders = () => generated

module.exports = { slotOf, learn, miss, generatedReaders }
