// Runs the Rust tests and the JavaScript tests with AddressSanitizer, in the Rust code and in LMDB.
//
//   npm run test:asan [test files]
//
// Needs clang with its runtime (Debian: clang-14 libclang-rt-14-dev). The sanitizer is an unstable
// option of rustc; RUSTC_BOOTSTRAP=1 admits it on the stable toolchain. The addon has no runtime of
// its own, so it is preloaded, into node and all processes that the tests start. Left out are tests
// that build a second addon, preload something else, limit the address space (the sanitizer takes 15
// TiB of it) or trace system calls; and the search for leaks in node, which has its own.

import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)))
const target = path.join(root, 'target', 'asan')
const triple = 'x86_64-unknown-linux-gnu'
const TEST_TIMEOUT_MS = 900_000
const LEFT_OUT = /cargo|weakened|git'|LD_PRELOAD|failing-disk|ulimit|strace/

const clang = ['clang', 'clang-19', 'clang-16', 'clang-15', 'clang-14']
  .find((name) => spawnSync(name, ['--version']).status === 0)
const runtime = clang && spawnSync(clang, ['-print-file-name=libclang_rt.asan-x86_64.so'],
  { encoding: 'utf8' }).stdout.trim()
if (process.platform !== 'linux' || process.arch !== 'x64' || !runtime?.startsWith('/')) {
  console.log('skipped: needs Linux on x86-64 and clang with its sanitizer runtime')
  console.log('0 passed, 0 failed, 1 skipped')
  process.exit(0)
}

const compile = {
  ...process.env,
  RUSTC_BOOTSTRAP: '1',
  RUSTFLAGS: '-Zsanitizer=address',
  CC: clang,
  CFLAGS: '-fsanitize=address -fno-omit-frame-pointer -g'
}
const cargo = ['--target', triple, '--target-dir', target]
const total = { passed: 0, failed: 0, skipped: 0 }
const workplace = mkdtempSync(path.join(tmpdir(), 'commonhold-asan-'))

try {
  showThatItDetects()
  const rust = run('cargo', ['test', '--no-default-features', '--quiet', '--lib', '--tests', ...cargo], compile)
  count(rust, /(\d+) passed;/g, /(\d+) failed;/g, /(\d+) ignored;/g)
  if (run('cargo', ['build', '--profile', 'weakened', '--quiet', ...cargo], compile).status !== 0) {
    total.failed++
  } else {
    testJavaScript()
  }
} finally {
  rmSync(workplace, { recursive: true, force: true })
}
console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`)
process.exitCode = total.failed === 0 ? 0 : 1

/** A sanitizer that does not run finds nothing. */
function showThatItDetects () {
  const source = path.join(workplace, 'overflow.c')
  const library = path.join(workplace, 'overflow.so')
  writeFileSync(source, `
    #include <stdlib.h>
    __attribute__((constructor)) static void overflow(void) {
      volatile char *bytes = malloc(8); bytes[8] = 1; free((void *)bytes);
    }`)
  spawnSync(clang, ['-fsanitize=address', '-shared', '-fPIC', '-o', library, source])
  const env = { ...sanitized('planted'), LD_PRELOAD: `${runtime}:${library}` }
  const { status } = spawnSync(process.execPath, ['-e', '0'], { env })
  const noticed = reports('planted').some((report) => report.includes('heap-buffer-overflow'))
  if (status === 0 || !noticed) {
    throw new Error('the sanitizer does not notice an overflow that was planted')
  }
}

function testJavaScript () {
  const copy = path.join(workplace, 'package')
  cpSync(root, copy, {
    recursive: true,
    filter: (source) => !/^(target|node_modules|\.git|bench|examples)$/.test(path.relative(root, source))
  })
  symlinkSync(path.join(root, 'node_modules'), path.join(copy, 'node_modules'))
  const addon = readdirSync(path.join(copy, 'lib')).find((name) => name.endsWith('.node'))
  const library = path.join(target, triple, 'weakened', 'libcommonhold.so')
  if (!readFileSync(library).includes('__asan_report_store8')) throw new Error('no sanitizer in the addon')
  rmSync(path.join(copy, 'lib', addon))
  cpSync(library, path.join(copy, 'lib', addon))
  const named = process.argv.slice(2).map((name) => path.basename(name))
  const files = readdirSync(path.join(copy, '__test__'))
    .filter((name) => name.endsWith('.test.js') && (named.length === 0 || named.includes(name)))
    .filter((name) => !LEFT_OUT.test(readFileSync(path.join(copy, '__test__', name), 'utf8')))
    .map((name) => path.join('__test__', name))
  const result = run('node', ['--test', '--test-reporter=tap', `--test-timeout=${TEST_TIMEOUT_MS}`, ...files],
    sanitized(), copy)
  count(result, /^# pass (\d+)$/gm, /^# (?:fail|cancelled) (\d+)$/gm, /^# skipped (\d+)$/gm)
  const found = reports('report')
  for (const report of found) console.log(report)
  console.log(`${found.length} reports of the sanitizer in ${files.length} files of JavaScript tests`)
  if (found.length > 0) total.failed++
}

/** Reports of processes whose output nobody reads are kept in files. */
function sanitized (log = 'report') {
  // faketime, which is preloaded too, hangs under it: tests that find it out of order are skipped.
  const bin = path.join(workplace, 'bin')
  mkdirSync(bin, { recursive: true })
  writeFileSync(path.join(bin, 'faketime'), '#!/bin/sh\nexit 1\n', { mode: 0o755 })
  const PATH = `${bin}:${process.env.PATH}`
  // Where memory is limited on purpose, an allocation fails as it does without the sanitizer.
  const options = [
    'detect_leaks=0', 'allocator_may_return_null=1', `log_path=${path.join(workplace, log)}`,
    // What the system ends with SIGBUS (a filesystem that goes down) is no fault of memory.
    'handle_sigbus=0'
  ].join(':')
  return { ...process.env, PATH, LD_PRELOAD: runtime, ASAN_OPTIONS: options }
}

function reports (log) {
  return readdirSync(workplace).filter((name) => name.startsWith(`${log}.`))
    .map((name) => readFileSync(path.join(workplace, name), 'utf8'))
}

function run (command, args, env, cwd = root) {
  console.log(`\n== ${command} ${args.slice(0, 6).join(' ')} ...`)
  const result = spawnSync(command, args, { cwd, env, encoding: 'utf8', maxBuffer: 1 << 30 })
  const shown = /^ *not ok|^# |test result|panicked|AddressSanitizer|^ +#\d/
  const text = (result.stdout + result.stderr).split('\n').filter((line) => shown.test(line))
  console.log(text.slice(-200).join('\n'))
  return result
}

function count ({ status, stdout }, ...patterns) {
  const sums = patterns.map((pattern) => [...stdout.matchAll(pattern)].reduce((sum, [, n]) => sum + Number(n), 0))
  total.passed += sums[0]
  total.failed += sums[1] || (status === 0 ? 0 : 1)
  total.skipped += sums[2]
}
