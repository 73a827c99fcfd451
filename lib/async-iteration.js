'use strict'

/** The async iterator that `start` gives; where that throws, one whose first next() rejects. */
function startIteration (start) {
  try {
    return start()
  } catch (error) {
    return failing(error)
  }
}

async function * failing (error) {
  yield Promise.reject(error)
}

module.exports = { startIteration }
