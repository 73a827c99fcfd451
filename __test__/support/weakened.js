'use strict'

// A copy of this package whose checks can be left out one by one, to show that a test notices.

const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { temporaryDirectory } = require('./store')

const root = path.join(__dirname, '..', '..')
const BUILD = ['build', '--quiet', '--profile', 'weakened', '--features', 'weakened',
  '--message-format=json']

/**
 * Builds the addon with the feature `weakened` (src/weakened.rs) and returns the directory of a
 * copy of the package with it. The addon of the project itself stays what it is.
 */
function weakenedPackage (t) {
  const directory = temporaryDirectory(t)
  fs.mkdirSync(path.join(directory, 'lib'))
  const scripts = fs.readdirSync(path.join(root, 'lib')).filter((name) => name.endsWith('.js'))
  for (const file of ['index.js', 'package.json', ...scripts.map((name) => `lib/${name}`)]) {
    fs.copyFileSync(path.join(root, file), path.join(directory, file))
  }
  const addon = fs.readdirSync(path.join(root, 'lib')).find((name) => name.endsWith('.node'))
  fs.copyFileSync(weakenedLibrary(), path.join(directory, 'lib', addon))
  return directory
}

function weakenedLibrary () {
  const { status, stdout, stderr, error } =
    spawnSync('cargo', BUILD, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 30 })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`cargo ${BUILD.join(' ')} failed\n${stderr}`)
  const messages = stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line))
  return messages
    .filter(({ reason, target }) => reason === 'compiler-artifact' && target.name === 'commonhold')
    .flatMap(({ filenames }) => filenames)
    .find((file) => /\.(so|dylib|dll)$/.test(file))
}

/** The environment of an agent in which these checks are left out. */
const without = (...checks) => ({ env: { ...process.env, COMMONHOLD_WEAKEN: checks.join(',') } })

module.exports = { weakenedPackage, without }
