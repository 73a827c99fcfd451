'use strict'

// What a search wants to know about a file, taken from its text.

const name = '([A-Za-z_$][\\w$]*)'
const patterns = {
  imports: new RegExp('(?<![\\w$])(?:from|import|require)' +
    '(?=(?:\\s{0,20}\\()?\\s{0,20}([\'"])(?<name>[^\'"\\s]{1,200})\\1)', 'g'),
  functions: new RegExp(
    `(?<![\\w$])(?:function|fn|func|def)(?:[ \\t]+|[ \\t]*\\*[ \\t]*)${name}[ \\t]*[(<]`, 'g'),
  exports: new RegExp('(?<![\\w$])export[ \\t]+(?:default[ \\t]+|declare[ \\t]+|async[ \\t]+)*' +
    `(?:function[ \\t]*\\*?|class|const|let|var|interface|type|enum)[ \\t]+${name}`, 'g'),
  assigned: new RegExp(`(?<![\\w$])exports\\.${name}[ \\t]*=(?!=)`, 'g')
}

function summarise ({ text = '', bytes, lines, language }) {
  return {
    language,
    bytes,
    lines,
    about: firstComment(text),
    imports: found(text, patterns.imports),
    exports: [...found(text, patterns.exports), ...found(text, patterns.assigned)],
    functions: found(text, patterns.functions),
    todos: text.match(/\b(?:TODO|FIXME)\b/g)?.length ?? 0
  }
}

/** The distinct names that the pattern finds, in order of appearance. */
function found (text, pattern) {
  return [...new Set([...text.matchAll(pattern)].map(match => match.groups?.name ?? match[1]))]
}

/** The first line of the first comment or heading near the top of the file. */
function firstComment (text) {
  const top = text.slice(0, 4096).toWellFormed().replace(/^#!.*/, '')
  const [, line = ''] = top.match(/(?:^|\n)[ \t]*(?:\/\*[*!]?|\/\/+|#+ )\s*(?:\* )?([^\n]*)/) ?? []
  return [...line.replace(/\*\/.*/, '').trim()].slice(0, 200).join('')
}

module.exports = { summarise }
