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
 * the agents are gone afterwards, also when the user interrupts or the time is up.
 * `body` gets the open store and `start`, which starts an agent on the same store.
 */
async function runExample (name, body, { limitMs = 120000 } = {}) {
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
  const limit = timeLimit(limitMs)
  try {
    const summary = await Promise.race([body({ store, start, directory }), limit.isOver])
    console.log(`ok ${name}: ${summary}`)
  } catch (error) {
    console.error(`FAILED ${name}: ${error instanceof Failure ? error.message : error.stack}`)
    process.exitCode = 1
  } finally {
    limit.clear()
    for (const agent of agents) agent.stop()
    await Promise.all(agents.map(agent => agent.ended))
    store.close()
    await rm(directory, { recursive: true, force: true })
  }
}

/** `isOver` rejects after that many milliseconds. */
function timeLimit (milliseconds) {
  let timer
  const isOver = new Promise((resolve, reject) => {
    const failure = new Failure(`did not end within ${milliseconds / 1000} s`)
    timer = setTimeout(() => reject(failure), milliseconds)
  })
  return { isOver, clear: () => clearTimeout(timer) }
}

/**
 * Starts `script` as a process of its own. The agent finds the store by COMMONHOLD_PATH, as any
 * program of the user would, and is named by COMMONHOLD_AGENT or else by its file. What it prints
 * is passed on as it comes if `isShown`.
 */
function startAgent (script, { path, name, args = [], isShown = false }) {
  const env = { ...process.env, COMMONHOLD_PATH: path }
  if (name) env.COMMONHOLD_AGENT = name
  else delete env.COMMONHOLD_AGENT
  const child = fork(script, args, { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] })
  const output = { stdout: '', stderr: '' }
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', text => { output[stream] += text })
  }
  if (isShown) child.stdout.on('data', text => process.stdout.write(text))
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
