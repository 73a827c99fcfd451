// npm run test:faults: the whole fault suite, one file after the other, and its figures into
// docs/testing.md. The fast part is in `npm test`.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const here = path.dirname(fileURLToPath(import.meta.url))
const root = path.dirname(here)
const page = path.join(root, 'docs', 'testing.md')
const [BEGIN, END] = ['<!-- figures of the last full run -->', '<!-- end of the figures -->']

const files = readdirSync(here).filter((name) => name.endsWith('.test.js'))
  .filter((name) => process.argv.length < 3 || process.argv.slice(2).some((part) => name.includes(part)))
const directory = mkdtempSync(path.join(os.tmpdir(), 'commonhold-faults-'))
const figures = path.join(directory, 'figures')
writeFileSync(figures, '')

const env = { ...process.env, COMMONHOLD_FAULTS: 'full', COMMONHOLD_FAULTS_FIGURES: figures }
const started = Date.now()
let failed = 0
for (const file of files) {
  const command = ['--test', '--test-reporter=spec', path.join('faults', file)]
  failed += spawnSync(process.execPath, command, { cwd: root, env, stdio: 'inherit' }).status === 0 ? 0 : 1
}
const lines = readFileSync(figures, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))
rmSync(directory, { recursive: true })
if (process.argv.length < 3) writePage(lines, Math.round((Date.now() - started) / 60_000))
console.log(`${files.length - failed} files passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

/** Replaces the table between the two marks. */
function writePage (lines, minutes) {
  const version = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')).version
  const machine = `${os.platform()} ${os.release().split('-')[0]}, ${os.cpus().length} cores, Node.js ${process.versions.node}`
  const outcome = failed === 0 ? 'passed' : `${failed} of ${files.length} files failed`
  const head = [`Version ${version}, ${new Date().toISOString().slice(0, 10)}, ${machine}, ${minutes} minutes: ${outcome}.`, '',
    '| fault | seed | figures |', '|---|---|---|']
  const rows = lines.map(({ fault, seed, figures }) => `| ${fault} | ${seed ?? ''} | ${figures} |`)
  const text = readFileSync(page, 'utf8')
  const [before, rest] = text.split(BEGIN)
  const after = rest.split(END)[1]
  writeFileSync(page, `${before}${BEGIN}\n${[...head, ...rows].join('\n')}\n${END}${after}`)
}
