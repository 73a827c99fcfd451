'use strict'

// What every example shares: a store of its own, agents as child processes, and a verdict.

const { fork } = require('node:child_process')
const { rmSync } = require('node:fs')
const { mkdtemp, rm } = require('node:fs/promises')
const { tmpdir } = require('node:os')
const { basename, join } = require('node:path')
const { isDeepStrictEqual, inspect } = require('node:util')
const { openStore } = require('..')

/**
 * Runs one example in a temporary store, prints its verdict and sets the exit code. The store and
 * the agents are gone afterwards, also when the user interrupts.
 * `body` gets the open store and `start`, which starts an agent on the same store.
 */
async function runExample (name, body) {
  const directory = await mkdtemp(join(tmpdir(), 'commonhold-example-'))
  const path = join(directory, 'store')
  const agents = []
  const start = (script, options) => {
    const agent = startAgent(script, { path, ...options })
    agents.push(agent)
    return agent
  }
  const store = openStore({ path, agent: 'runner' })
  const interrupted = signal => {
    for (const agent of agents) agent.stop()
    rmSync(directory, { recursive: true, force: true })
    process.kill(process.pid, signal)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, interrupted)
  try {
    const summary = await body({ store, start, directory })
    console.log(`ok ${name}: ${summary}`)
  } catch (error) {
    console.error(`FAILED ${name}: ${error instanceof Failure ? error.message : error.stack}`)
    process.exitCode = 1
  } finally {
    for (const agent of agents) agent.stop()
    await Promise.all(agents.map(agent => agent.ended))
    store.close()
    await rm(directory, { recursive: true, force: true })
  }
}

/**
 * Starts `script` as a process of its own. The agent finds the store by COMMONHOLD_PATH, as any
 * program of the user would, and is named by COMMONHOLD_AGENT or else by its file.
 */
function startAgent (script, { path, name, args = [] }) {
  const env = { ...process.env, COMMONHOLD_PATH: path }
  if (name) env.COMMONHOLD_AGENT = name
  else delete env.COMMONHOLD_AGENT
  const child = fork(script, args, { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', text => { output[stream] += text })
  }
  const ended = new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal, ...output }))
  })
  ended.catch(() => {})
  return {
    child,
    ended,
    stop: () => child.kill('SIGKILL'),
    succeeded: () => succeeded(name ?? basename(script), ended)
  }
}

/** What the agent printed, once it has ended well; an error with its stderr if it has not. */
async function succeeded (name, ended) {
  const { code, signal, stdout, stderr } = await ended
  if (code === 0) return stdout.trim()
  const how = signal ? `was killed by ${signal}` : `exited with code ${code}`
  throw new Failure(`the agent ${name} ${how}\n${stderr || stdout}`.trimEnd())
}

/** Resolves with the next message of that kind that the agent sends to the runner. */
function message (agent, kind) {
  const received = new Promise((resolve, reject) => {
    const listen = sent => {
      if (sent.kind !== kind) return
      agent.child.off('message', listen)
      resolve(sent)
    }
    agent.child.on('message', listen)
    agent.ended.then(({ stderr }) =>
      reject(new Failure(`an agent ended before it sent "${kind}"\n${stderr}`.trimEnd())))
  })
  received.catch(() => {})
  return received
}

/** An outcome that the user should read without a stack trace. */
class Failure extends Error {}

/** Throws unless both are deeply equal; the message shows both. */
function check (what, actual, expected) {
  if (isDeepStrictEqual(actual, expected)) return
  const show = value => inspect(value, { depth: 6, maxStringLength: 2000 })
  throw new Failure(`${what}\n  expected ${show(expected)}\n  found    ${show(actual)}`)
}

module.exports = { runExample, message, check, Failure }
