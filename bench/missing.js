'use strict'

/** What a build or a machine does not have; whatever needs it is skipped with this reason. */
class Missing extends Error {
  missing = true
}

module.exports = { Missing }
