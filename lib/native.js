'use strict'

// Loads the addon: the one built here, else the one of the package for this platform.

const { existsSync } = require('node:fs')
const path = require('node:path')

/** The names of the platform packages that may fit. npm installs the one for the C library there
 *  is; asking Node.js which one that is (process.report) would take longer than all the rest. */
function candidates () {
  const { platform, arch } = process
  if (platform === 'win32') return [`win32-${arch}-msvc`]
  if (platform === 'linux') return [`linux-${arch}-gnu`, `linux-${arch}-musl`]
  return [`${platform}-${arch}`]
}

function load () {
  const names = candidates()
  const built = names.map((name) => path.join(__dirname, `commonhold.${name}.node`))
    .find((file) => existsSync(file))
  if (built !== undefined) return require(built)
  let cause
  for (const name of names) {
    try {
      return require(`commonhold-${name}`)
    } catch (error) {
      cause = error
    }
  }
  throw new Error(
    `commonhold has no addon for ${names[0]}. If this platform is supported, npm has left out ` +
    `the optional dependency commonhold-${names[0]}: install again without --omit=optional. In ` +
    'a checkout, run npm run build',
    { cause })
}

module.exports = load()
