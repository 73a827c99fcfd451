'use strict'

// Runs every example, one line each, and counts. `node examples/run-all.js [name ...]` runs some.

const { spawn } = require('node:child_process')
const { existsSync, readdirSync } = require('node:fs')
const { join } = require('node:path')

const limitMs = 300000

async function runAll (names) {
  let failed = 0
  for (const name of names) if (!await run(name)) failed += 1
  console.log(`${names.length - failed} passed, ${failed} failed`)
  process.exitCode = failed ? 1 : 0
}

/** Runs one example in its own process group, so that one that hangs ends with its agents. */
function run (name) {
  const started = Date.now()
  const child = spawn(process.execPath, [join(__dirname, name)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: process.platform !== 'win32'
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', text => { output += text })
  }
  const timer = setTimeout(() => {
    output += `\nstopped after ${limitMs / 1000} s`
    process.kill(process.platform === 'win32' ? child.pid : -child.pid, 'SIGKILL')
  }, limitMs)
  return new Promise(resolve => child.once('close', code => {
    clearTimeout(timer)
    const seconds = ((Date.now() - started) / 1000).toFixed(1)
    const last = output.trimEnd().split('\n').pop()
    console.log(code === 0 ? `${last} [${seconds} s]` : `FAILED ${name} [${seconds} s]\n${output}`)
    resolve(code === 0)
  }))
}

const all = readdirSync(__dirname, { withFileTypes: true })
  .filter(entry => entry.isDirectory() && existsSync(join(__dirname, entry.name, 'index.js')))
  .map(entry => entry.name)
  .sort()
const wanted = process.argv.slice(2)
const unknown = wanted.filter(name => !all.includes(name))
if (unknown.length) {
  console.error(`no example named ${unknown.join(', ')}; there are ${all.join(', ')}`)
  process.exit(1)
}
runAll(wanted.length ? wanted : all)
