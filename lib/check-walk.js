'use strict'

// The process that `check` starts: walks over the store that its argument names and prints
// `{ report }`, or the `{ error }` for which it could not.

const native = require('./native')
const { makeError } = require('./errors')

native.setErrorMaker(makeError)

const { directory, crash } = JSON.parse(process.argv[2])
let answer
try {
  answer = { report: JSON.parse(native.check(directory, crash)) }
} catch (error) {
  answer = { error: ['error', error.code ?? 'ERR_IO', error.message] }
}
process.stdout.write(JSON.stringify(answer))
