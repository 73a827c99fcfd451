'use strict'

// Which files of a directory the demo takes, and under which repository.

const { lstatSync, readdirSync } = require('node:fs')
const { join } = require('node:path')

// The store's own limits: a key, and a namespace that begins with "summary:".
const maxKeyBytes = 1978
const maxRepositoryBytes = 512 - 'summary:'.length

/**
 * Lists the files below `root`, in a fixed order, and counts what is left out, by reason.
 * Links are not followed, so a loop of links does no harm. `exclude` is a directory to stay out of;
 * `unstorable` are the paths whose names the store cannot take.
 */
function listFiles (root, exclude) {
  const files = []
  const unstorable = []
  const skipped = new Map()
  const skip = reason => skipped.set(reason, (skipped.get(reason) ?? 0) + 1)
  const pending = ['']
  while (pending.length) {
    const directory = pending.pop()
    for (const entry of entriesOf(join(root, directory), skip)) {
      const path = directory ? `${directory}/${entry.name}` : entry.name
      if (entry.isDirectory()) {
        if (join(root, path) !== exclude) pending.push(path)
        continue
      }
      const file = place(path)
      const misnamed = entry.isFile() && badName(file)
      if (misnamed) unstorable.push(path)
      const reason = misnamed || badKind(entry)
      if (reason) skip(reason)
      else files.push({ ...file, bytes: sizeOf(join(root, path)) })
    }
  }
  return { files, skipped, unstorable }
}

function entriesOf (directory, skip) {
  try {
    return readdirSync(directory, { withFileTypes: true }).sort((a, b) => a.name < b.name ? -1 : 1)
  } catch {
    skip('unreadable directory')
    return []
  }
}

/** A repository is a package, with its scope, or else the first directory; "." is the root. */
function place (path) {
  const [first, second, ...rest] = path.split('/')
  if (second === undefined) return { repository: '.', path }
  if (first.startsWith('@') && rest.length) {
    return { repository: `${first}/${second}`, path: rest.join('/') }
  }
  return { repository: first, path: [second, ...rest].join('/') }
}

function sizeOf (file) {
  return lstatSync(file, { throwIfNoEntry: false })?.size ?? 0
}

function badKind (entry) {
  if (entry.isSymbolicLink()) return 'symbolic link'
  return entry.isFile() ? undefined : 'not a regular file'
}

function badName ({ repository, path }) {
  if (!`${repository}/${path}`.isWellFormed()) return 'name is not Unicode'
  if (/\p{Cc}/u.test(repository)) return 'directory name with control characters'
  if (Buffer.byteLength(repository) > maxRepositoryBytes) return 'directory name too long'
  if (Buffer.byteLength(path) > maxKeyBytes) return 'path longer than a key may be'
  return undefined
}

module.exports = { listFiles }
