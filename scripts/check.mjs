// The gate: every check of the project, in order, with one count at the end.
//
//   npm test          the tests
//   npm run check     the tests, and format, lint, examples
//
// A step that fails does not stop the others, so that one run shows all there is to mend.

import { spawn } from 'node:child_process'
import { readdirSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))

// Named one by one: Node.js 20 knows no patterns here, Node.js 22 no directories.
const testsIn = (directory) => readdirSync(path.join(root, directory))
  .filter((name) => name.endsWith('.test.js'))
  .map((name) => path.join(directory, name))
// A file that hangs in native code cannot time out by itself.
const TEST_TIMEOUT_MS = 300_000

const nodeTest = ['node', '--test', '--test-reporter=tap', `--test-timeout=${TEST_TIMEOUT_MS}`]

const build = { name: 'build the addon', command: ['npm', 'run', '--silent', 'build'], essential: true }
const tests = [
  { name: 'Rust tests', command: ['cargo', 'test', '--no-default-features', '--quiet'], count: cargo },
  { name: 'JavaScript tests', command: [...nodeTest, ...testsIn('__test__')], count: tap },
  { name: 'faults, the fast part (npm run test:faults for all)', command: [...nodeTest, ...testsIn('faults')], count: tap }
]
const rest = [
  { name: 'format of Rust', command: ['cargo', 'fmt', '--check'] },
  { name: 'lint of the store', command: ['cargo', 'clippy', '--quiet', '--no-default-features', '--all-targets', '--', '-D', 'warnings'] },
  { name: 'lint of the binding', command: ['cargo', 'clippy', '--quiet', '--', '-D', 'warnings'] },
  { name: 'format and lint of JavaScript', command: ['npx', 'standard'] },
  { name: 'install the examples', command: ['npm', '--prefix', 'examples', 'ci', '--silent'] },
  { name: 'examples', command: ['node', 'examples/run-all.js'], count: plain }
]

const steps = process.argv[2] === 'tests' ? [build, ...tests] : [build, ...rest, ...tests]
const total = { passed: 0, failed: 0, skipped: 0 }

for (const step of steps) {
  const { code, output } = await run(step)
  const counted = step.count?.(output) ?? { passed: 0, failed: 0, skipped: 0 }
  // A step that ends badly without a failed test has failed as a whole.
  if (code !== 0 && counted.failed === 0) counted.failed = 1
  for (const kind in total) total[kind] += counted[kind]
  console.log(`${code === 0 ? 'ok' : 'FAILED'}: ${step.name}`)
  if (code !== 0 && step.essential) break
}

console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed === 0 && total.passed > 0 ? 0 : 1

/** Runs a step, showing what it prints, and resolves with its exit code and output. */
function run ({ name, command }) {
  console.log(`\n== ${name}: ${command.join(' ')}`)
  return new Promise((resolve) => {
    const child = spawn(command[0], command.slice(1), { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const [stream, target] of [[child.stdout, process.stdout], [child.stderr, process.stderr]]) {
      stream.on('data', (chunk) => {
        output += chunk
        target.write(chunk)
      })
    }
    child.on('error', (error) => resolve({ code: 1, output: String(error) }))
    child.on('close', (code) => resolve({ code: code ?? 1, output }))
  })
}

function sum (output, pattern) {
  return [...output.matchAll(pattern)].reduce((sum, match) => sum + Number(match[1]), 0)
}

function cargo (output) {
  return {
    passed: sum(output, /(\d+) passed;/g),
    failed: sum(output, /(\d+) failed;/g),
    skipped: sum(output, /(\d+) ignored;/g)
  }
}

function tap (output) {
  return {
    passed: sum(output, /^# pass (\d+)$/gm),
    failed: sum(output, /^# fail (\d+)$/gm) + sum(output, /^# cancelled (\d+)$/gm),
    skipped: sum(output, /^# skipped (\d+)$/gm)
  }
}

function plain (output) {
  return {
    passed: sum(output, /(\d+) passed/g),
    failed: sum(output, /(\d+) failed/g),
    skipped: sum(output, /(\d+) skipped/g)
  }
}
