'use strict'

// classic-level as its README and that of abstract-level (github.com/Level) advise: `getSync` for
// values that are in memory, one `batch` for bulk writes, `sync: true` where durability is
// compared, `all()` for ranges with a `highWaterMarkBytes` that holds them ("Optimal performance
// can be achieved by setting highWaterMarkBytes ..."), and a block cache larger than the data.

const path = require('node:path')
const { ClassicLevel } = require('classic-level')
const { version } = require('classic-level/package.json')

const RANGE = { highWaterMarkBytes: 256 * 1024 * 1024 }
const DURABLE = { sync: true }

async function open (directory, kind) {
  const binary = kind === 'float32'
  const valueEncoding = binary ? 'buffer' : 'json'
  const options = { valueEncoding, cacheSize: RANGE.highWaterMarkBytes }
  const db = new ClassicLevel(path.join(directory, 'bench'), options)
  await db.open()
  const encode = binary ? array => Buffer.from(array.buffer) : value => value
  return {
    get: binary ? key => toFloat32(db.getSync(key)) : key => db.getSync(key),
    async getAll () {
      const all = {}
      for (const [key, value] of await db.iterator(RANGE).all()) all[key] = value
      return all
    },
    listKeys: prefix => db.keys({ ...RANGE, ...rangeOf(prefix) }).all(),
    set: (key, value) => db.put(key, encode(value), DURABLE),
    setMany: entries => db.batch(
      entries.map(([key, value]) => ({ type: 'put', key, value: encode(value) })), DURABLE),
    clear: () => db.clear(),
    close: () => db.close()
  }
}

const rangeOf = prefix => prefix === undefined ? {} : { gte: prefix, lt: prefix + '\uffff' }
const toFloat32 = bytes => new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)

module.exports = { name: 'classic-level', version: () => version, open }
