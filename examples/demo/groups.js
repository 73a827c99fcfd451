'use strict'

// The files, cut into groups: the tasks of the agents.

const maxGroupFiles = 64
const maxGroupBytes = 2 * 1024 * 1024

/** Cuts the list into groups of bounded size. */
function cutIntoGroups (files) {
  const groups = []
  let bytes = Infinity
  for (const { repository, path, bytes: size } of files) {
    if (bytes + size > maxGroupBytes || groups.at(-1).length === maxGroupFiles) {
      groups.push([])
      bytes = 0
    }
    groups.at(-1).push({ repository, path })
    bytes += size
  }
  return groups
}

module.exports = { cutIntoGroups }
