// Builds the addon with cargo and puts it where lib/native.js looks first.

import { spawnSync } from 'node:child_process'
import { copyFileSync, renameSync, rmSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))

const cargo = spawnSync('cargo', ['build', '--release', '--message-format=json-render-diagnostics'], {
  cwd: root, stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8', maxBuffer: 1 << 30
})
if (cargo.error) throw cargo.error
if (cargo.status !== 0) process.exit(cargo.status ?? 1)

const libraries = cargo.stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line))
  .filter((message) => message.reason === 'compiler-artifact' && message.target.name === 'commonhold')
  .flatMap((message) => message.filenames)
  .filter((file) => /\.(so|dylib|dll)$/.test(file))

// Moved into place in one step: a process that has the old one mapped keeps it.
const target = path.join(root, 'lib', `commonhold.${platform()}.node`)
const fresh = `${target}.${process.pid}`
try {
  copyFileSync(libraries.at(-1), fresh)
  renameSync(fresh, target)
} finally {
  rmSync(fresh, { force: true })
}

// As the platform packages are named; lib/native.js looks for the same names.
function platform () {
  const { platform, arch, report } = process
  if (platform === 'win32') return `win32-${arch}-msvc`
  if (platform !== 'linux') return `${platform}-${arch}`
  const isGnu = report.getReport().header.glibcVersionRuntime !== undefined
  return `linux-${arch}-${isGnu ? 'gnu' : 'musl'}`
}
