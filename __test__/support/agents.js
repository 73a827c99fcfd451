'use strict'

// Starts the scripts of __test__/agents as real processes and reads what they say.

const { spawn } = require('node:child_process')
const path = require('node:path')
const readline = require('node:readline')

/**
 * Starts an agent; it is killed after the test if it has not ended. Each line it says is an
 * object; `next()` gives the following one (`undefined` after the last) and `all()` those that
 * are left. `exited` resolves with { code, signal, stderr } once everything was read.
 */
function startAgent (t, name, args = {}, { command = [], ...options } = {}) {
  const script = path.join(__dirname, '..', 'agents', `${name}.js`)
  const [program, ...rest] = [...command, process.execPath, script, JSON.stringify(args)]
  const child = spawn(program, rest, { stdio: ['pipe', 'pipe', 'pipe'], ...options })
  t.after(() => child.kill('SIGKILL'))
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  child.stdin.on('error', () => {})
  const lines = readline.createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const exited = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stderr }))
  })
  const next = async () => {
    const { value, done } = await lines.next()
    return done ? undefined : JSON.parse(value)
  }
  const all = async () => {
    const said = []
    for (let line = await next(); line !== undefined; line = await next()) said.push(line)
    return said
  }
  const tell = (line) => child.stdin.write(`${line}\n`)
  return { pid: child.pid, child, next, all, tell, exited, kill: (signal) => child.kill(signal) }
}

/** Runs an agent to its end; returns what it said, or throws with what it wrote to stderr. */
async function runAgent (t, name, args, options) {
  const agent = startAgent(t, name, args, options)
  const said = await agent.all()
  const { code, signal, stderr } = await agent.exited
  if (code !== 0) throw new Error(`${name} ended with ${signal ?? code}\n${stderr}`)
  return said
}

module.exports = { runAgent, startAgent }
