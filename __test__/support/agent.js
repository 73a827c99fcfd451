'use strict'

// The agents' side of support/agents.js.

const fs = require('node:fs')

/** What the test passed to this agent. */
const args = JSON.parse(process.argv[2] ?? '{}')

/** Says one object to the test. Written when it returns, so that SIGKILL cannot take it back. */
const say = (object) => fs.writeSync(1, `${JSON.stringify(object)}\n`)

/** Blocks until the test tells something. */
function hear () {
  const byte = Buffer.alloc(1)
  let line = ''
  while (fs.readSync(0, byte) === 1 && byte[0] !== 0x0a) line += byte.toString('latin1')
  return line
}

/** The outcome of a call as an object: `{ value }` or `{ code, message }` of what it threw. */
function outcome (fn) {
  try {
    return { value: fn() }
  } catch (error) {
    return { code: error.code ?? error.name, message: error.message }
  }
}

module.exports = { args, hear, outcome, say }
