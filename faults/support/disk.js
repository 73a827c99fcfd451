'use strict'

// A disk of which the power can be cut: plays a journal up to any record and says what may be there
// afterwards.
//
// What a sync covered that had returned before the cut is there. Of the rest, each page may have
// got to the disk or not, at any of the states it went through, in any order; so may the length
// of a file. Names change in the order in which they were changed within one directory, and are
// certain once that directory was synced.

const fs = require('node:fs')
const path = require('node:path')

const PAGE = 4096
const SECTOR = 512

/** What becomes of that which no sync has covered. */
const FATES = ['dropped', 'kept', 'first ones', 'last ones', 'some pages', 'some sectors',
  'some pages and no names']

class File {
  pages = new Map()
  // Each with the number of the record that made it; the first one is certain.
  lengths = [{ at: -1, length: 0 }]

  static of (bytes) {
    const file = new File()
    file.write(-1, 0, bytes)
    file.settle(0)
    return file
  }

  write (at, offset, data) {
    for (let done = 0; done < data.length;) {
      const start = (offset + done) % PAGE
      const piece = data.subarray(done, done + PAGE - start)
      const states = this.#states((offset + done - start) / PAGE)
      const content = Buffer.from(states.at(-1).content)
      piece.copy(content, start)
      states.push({ at, content })
      done += piece.length
    }
    this.#lengthen(at, Math.max(this.length, offset + data.length))
  }

  truncate (at, length) {
    for (const [page, states] of this.pages) {
      if ((page + 1) * PAGE <= length) continue
      const content = Buffer.from(states.at(-1).content)
      content.fill(0, Math.max(0, length - page * PAGE))
      states.push({ at, content })
    }
    this.#lengthen(at, length)
  }

  get length () { return this.lengths.at(-1).length }

  #lengthen (at, length) {
    if (length !== this.length) this.lengths.push({ at, length })
  }

  #states (page) {
    let states = this.pages.get(page)
    if (states === undefined) this.pages.set(page, states = [{ at: -1, content: ZEROS }])
    return states
  }

  /** All that was written before the record `end` is on the disk. */
  settle (end) {
    this.#settlePages(end, 0, Infinity)
    keepFrom(this.lengths, end)
  }

  #settlePages (end, first, last) {
    for (const [page, states] of this.pages) {
      if (states.length > 1 && page >= first && page <= last) keepFrom(states, end)
    }
  }

  /** A write through O_DSYNC: the pages that it touched are on the disk. */
  settleRange (end, offset, bytes) {
    this.#settlePages(end, Math.floor(offset / PAGE), Math.floor((offset + bytes - 1) / PAGE))
    if (offset + bytes > this.lengths[0].length) keepFrom(this.lengths, end)
  }

  /** The bytes that a disk may have after a cut. */
  bytes (fate, random) {
    const { length } = this.#choose(this.lengths, fate, random)
    const bytes = Buffer.alloc(length)
    for (const [page, states] of this.pages) {
      if (page * PAGE >= length) continue
      const { content } = this.#choose(states, fate, random)
      content.copy(bytes, page * PAGE)
      if (fate.name !== 'some sectors' || states.length === 1) continue
      for (let at = 0; at < PAGE && page * PAGE + at < length; at += SECTOR) {
        random.pick(states).content.copy(bytes, page * PAGE + at, at, at + SECTOR)
      }
    }
    return bytes
  }

  #choose (states, { name, at }, random) {
    const last = states.at(-1)
    if (name === 'dropped' || states.length === 1) return states[0]
    if (name === 'kept') return last
    if (name === 'first ones') return states.findLast((state) => state.at <= at) ?? states[0]
    if (name === 'last ones') return last.at > at ? last : states[0]
    return random.pick(states)
  }
}

const ZEROS = Buffer.alloc(PAGE)

function keepFrom (states, end) {
  const certain = states.findLastIndex((state) => state.at < end)
  if (certain > 0) states.splice(0, certain)
}

class Disk {
  #files = new Map()
  #directories = new Map()
  #names = []
  #syncs = new Map()
  #played = 0

  /** A disk with what is in a directory now, all of it certain. */
  constructor (root) {
    this.root = root
    this.#adopt(root)
  }

  #adopt (directory) {
    this.#directories.set(fs.statSync(directory).ino, directory)
    for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
      const name = path.join(directory, entry.name)
      if (entry.isDirectory()) {
        this.#names.push({ at: -1, kind: 'mkdir', path: name })
        this.#adopt(name)
      } else {
        const file = File.of(fs.readFileSync(name))
        this.#files.set(fs.statSync(name).ino, file)
        this.#names.push({ at: -1, kind: 'create', path: name, file })
      }
    }
  }

  /** Plays the journal up to, not including, the record `end`. */
  play (records, end) {
    for (; this.#played < end; this.#played++) this.#step(this.#played, records[this.#played])
  }

  #step (at, record) {
    const { kind, inode, offset, data, bytes } = record
    const file = this.#files.get(inode)
    if (kind === 'write') {
      file.write(at, offset, data)
      if (record.isSync) file.settleRange(at + 1, offset, bytes)
    } else if (kind === 'truncate') file.truncate(at, offset)
    else if (kind === 'sync-begin') this.#syncs.set(record.token, at)
    else if (kind === 'sync-end') this.#settle(record, this.#syncs.get(record.token))
    else this.#rename(at, record)
  }

  #rename (at, { kind, inode, path, second }) {
    const name = { at, kind, path, second }
    if (kind === 'create') this.#files.set(inode, name.file = new File())
    if (kind === 'mkdir') this.#directories.set(inode, path)
    this.#names.push(name)
  }

  #settle ({ inode, isDirectory }, begun) {
    if (!isDirectory) return this.#files.get(inode).settle(begun)
    const directory = this.#directories.get(inode)
    for (const name of this.#names) {
      if (name.at < begun && path.dirname(name.path) === directory) name.at = -1
    }
  }

  /**
   * What may be there if the power is cut now: paths (relative to the root) and their bytes;
   * directories have none.
   */
  image (fateName, random) {
    const fate = { name: fateName, at: random.below(this.#played + 1) - 1 }
    const tree = new Map()
    const isThere = (name) => tree.has(path.dirname(name)) || path.dirname(name) === this.root
    const kept = this.#keptNames(fate, random)
    for (const name of this.#names) {
      if (!isThere(name.path) || !(name.at === -1 || name.at <= kept(name))) continue
      if (name.kind === 'rename') {
        tree.set(name.second, tree.get(name.path))
        tree.delete(name.path)
      } else if (name.kind === 'unlink') tree.delete(name.path)
      else tree.set(name.path, name.file)
    }
    return [...tree].map(([name, file]) =>
      [path.relative(this.root, name), file?.bytes(fate, random)])
  }

  /** For each directory, up to which record its names have changed. */
  #keptNames (fate, random) {
    const upTo = new Map()
    return ({ path: name }) => {
      if (fate.name === 'dropped' || fate.name === 'some pages and no names') return -1
      if (fate.name === 'kept') return Infinity
      if (fate.name === 'first ones') return fate.at
      const directory = path.dirname(name)
      if (!upTo.has(directory)) upTo.set(directory, random.below(this.#played + 1) - 1)
      return upTo.get(directory)
    }
  }
}

/** Puts an image on a real disk. */
function writeImage (image, directory) {
  fs.mkdirSync(directory, { mode: 0o700 })
  for (const [name, bytes] of image) {
    const target = path.join(directory, name)
    if (bytes === undefined) fs.mkdirSync(target, { mode: 0o700 })
    else fs.writeFileSync(target, bytes, { mode: 0o600 })
  }
}

module.exports = { Disk, FATES, writeImage }
