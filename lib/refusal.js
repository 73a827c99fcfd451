'use strict'

const { typeError, rangeError } = require('./errors')
const { MAX_VALUE_DEPTH, MAX_VALUE_BYTES } = require('./format')

const PATH_CHARACTERS = 200
const IDENTIFIER = /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u

/**
 * Thrown where a value cannot be encoded. On its way out every container adds itself, so the path
 * costs nothing as long as nothing is refused.
 */
class Refusal {
  constructor (code, problem) {
    this.code = code
    this.problem = problem
    this.trail = []
    this.of = ''
  }

  /** Called from the inside outwards. */
  within (container, step) {
    this.trail.unshift({ container, step })
    return this
  }

  /** The error for the caller; `key` is named where the call wrote several. */
  toError (key) {
    this.of = key === undefined ? '' : ` of ${shorten(JSON.stringify(key))}`
    if (this.code === 'ERR_VALUE_TOO_DEEP') return this.circularError() ?? this.error(rangeError)
    return this.error(this.code === 'ERR_INVALID_VALUE' ? typeError : rangeError)
  }

  error (create, trail = this.trail, code = this.code, problem = this.problem) {
    const path = 'value' + trail.map(({ step }) => step).join('')
    return create(code, `${shorten(path)}${this.of} ${problem}`)
  }

  // A circular value is met as one without end: it is the one whose trail passes a container twice.
  circularError () {
    const seen = new Map()
    for (let i = 0; i < this.trail.length; i++) {
      const { container } = this.trail[i]
      const first = seen.get(container)
      if (first !== undefined) {
        const target = 'value' + this.trail.slice(0, first).map(({ step }) => step).join('')
        const problem = `is circular (it is ${shorten(target)} again): store a key or an id instead`
        return this.error(typeError, this.trail.slice(0, i), 'ERR_INVALID_VALUE', problem)
      }
      seen.set(container, i)
    }
  }
}

const shorten = (path) => path.length <= PATH_CHARACTERS
  ? path
  : `${path.slice(0, PATH_CHARACTERS / 2)}...${path.slice(-PATH_CHARACTERS / 2)}`

const propertyStep = (key) => IDENTIFIER.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`

const invalid = (problem) => new Refusal('ERR_INVALID_VALUE', problem)

const tooDeep = () => new Refusal('ERR_VALUE_TOO_DEEP',
  `is nested deeper than ${MAX_VALUE_DEPTH} levels: flatten it, or split it over several keys`)

const tooLarge = () => new Refusal('ERR_VALUE_TOO_LARGE',
  `does not fit: the limit is ${MAX_VALUE_BYTES} bytes encoded. Split the value over several keys`)

module.exports = { Refusal, invalid, tooDeep, tooLarge, propertyStep }
