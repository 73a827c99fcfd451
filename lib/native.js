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
  const files = names.map((name) => path.join(__dirname, `commonhold.${name}.node`))
  const built = files.find((file) => existsSync(file))
  if (built !== undefined) return require(built)
  const packages = names.map((name) => `commonhold-${name}`)
  let cause
  for (const name of packages) {
    try {
      return require(name)
    } catch (error) {
      // That a package is not there says nothing; why one that is there does not load, everything.
      if (!isMissing(error, name)) cause ??= error
    }
  }
  throw notLoaded(files, packages, cause)
}

function isMissing (error, name) {
  return error?.code === 'MODULE_NOT_FOUND' && String(error.message).includes(`'${name}'`)
}

function notLoaded (files, packages, cause) {
  const { platform, arch } = process
  if (cause !== undefined) {
    return new Error(
      `the addon of commonhold for ${platform}-${arch} does not load: ${cause.message ?? cause}`,
      { cause })
  }
  return new Error(
    `commonhold has no addon for ${platform}-${arch}: neither the file ${files.join(' or ')} nor ` +
    `the package ${packages.join(' or ')} is there. In a checkout, run npm run build, which ` +
    'makes the file; an installation made with --omit=optional lacks the package')
}

module.exports = load()
