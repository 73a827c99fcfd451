// npm run test:faults: the whole fault suite, one file after the other; its figures, if all passed, into
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
let failed = 0
for (const file of files) {
  const command = ['--test', '--test-reporter=spec', path.join('faults', file)]
  failed += spawnSync(process.execPath, command, { cwd: root, env, stdio: 'inherit' }).status === 0 ? 0 : 1
}
const lines = readFileSync(figures, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line))
rmSync(directory, { recursive: true })
if (failed === 0) writePage(lines)
console.log(`${files.length - failed} files passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1

/** Puts the figures into the table between the two marks, in the place of earlier ones. */
function writePage (lines) {
  const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
  const machine = `${os.platform()} ${os.release().split('-')[0]}, ${os.cpus().length} cores, Node.js ${process.versions.node}`
  const [before, rest] = readFileSync(page, 'utf8').split(BEGIN)
  const [table, after] = rest.split(END)
  const rows = new Map(table.split('\n').filter((line) => /^\| [^|-]/.test(line)).slice(1)
    .map((line) => [line.split(' | ')[0].slice(2), line]))
  for (const { fault, seed, figures } of lines) rows.set(fault, `| ${fault} | ${seed ?? ''} | ${figures} |`)
  const head = [`Version ${version}, ${new Date().toISOString().slice(0, 10)}, ${machine}.`, '',
    '| fault | seed | figures |', '|---|---|---|']
  writeFileSync(page, `${before}${BEGIN}\n${[...head, ...rows.values()].join('\n')}\n${END}${after}`)
}
