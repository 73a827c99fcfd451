'use strict'

// The fenced code blocks of a Markdown file.

const fs = require('node:fs')
const path = require('node:path')

const FENCE = /^ *(`{3,})(\S*)\s*$/

/** Blocks as { file, line, language, code }; `line` is that of the opening fence. */
function blocksOf (root, file) {
  const blocks = []
  let open
  fs.readFileSync(path.join(root, file), 'utf8').split('\n').forEach((text, index) => {
    const fence = FENCE.exec(text)
    if (open === undefined) {
      if (fence) open = { file, line: index + 1, language: fence[2], lines: [] }
    } else if (fence) {
      const { lines, ...block } = open
      blocks.push({ ...block, code: `${lines.join('\n')}\n` })
      open = undefined
    } else {
      open.lines.push(text)
    }
  })
  if (open !== undefined) throw new Error(`${file}:${open.line} is never closed`)
  return blocks
}

/** Every file whose blocks are promises: the README and the pages of docs/. */
function documents (root) {
  const pages = fs.readdirSync(path.join(root, 'docs')).filter((name) => name.endsWith('.md'))
  return ['README.md', ...pages.sort().map((name) => `docs/${name}`)]
}

module.exports = { blocksOf, documents }
