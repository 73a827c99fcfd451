'use strict'

// A Redis or Valkey server of the contestant's own: on the loopback, on a port that was free, in
// the contestant's directory, stopped by its process id. Persistence is off unless asked for.

const { spawn, execFileSync } = require('node:child_process')
const net = require('node:net')

const SERVERS = ['valkey-server', 'redis-server']
const HOST = '127.0.0.1'

function findServer () {
  for (const command of SERVERS) {
    try {
      const text = execFileSync(command, ['--version'], { encoding: 'utf8' })
      const [, name, version] = /^(\w+) server v=(\S+)/.exec(text)
      return { command, label: `${name} ${version}` }
    } catch (error) {
      if (error.code !== 'ENOENT') throw error
    }
  }
  throw new Error(`no ${SERVERS.join(' or ')} in the PATH`)
}

function findFreePort () {
  return new Promise((resolve, reject) => {
    const server = net.createServer()
    server.once('error', reject)
    server.listen(0, HOST, () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/** `appendonly` with a sync of the device before the answer is the durability of 'strict'. */
const persistence = durable => durable
  ? ['--appendonly', 'yes', '--appendfsync', 'always']
  : ['--appendonly', 'no']

/** Resolves when the server accepts connections; `label` says which server and version it is. */
async function startRedis (directory, { durable = false } = {}) {
  const { command, label } = findServer()
  const port = await findFreePort()
  const child = spawn(command, [
    '--bind', HOST, '--port', String(port), '--dir', directory, '--save', '',
    '--maxmemory-policy', 'noeviction', ...persistence(durable)
  ], { stdio: ['ignore', 'pipe', 'inherit'] })
  const stop = () => child.kill()
  process.once('exit', stop)
  const ended = new Promise(resolve => child.once('exit', resolve))
  await acceptsConnections(child, ended)
  return {
    host: HOST,
    port,
    label,
    async stop () {
      stop()
      process.removeListener('exit', stop)
      await ended
    }
  }
}

function acceptsConnections (child, ended) {
  return new Promise((resolve, reject) => {
    let log = ''
    child.once('error', reject)
    child.stdout.setEncoding('utf8').on('data', text => {
      log += text
      if (/ready to accept connections/i.test(log)) resolve()
    })
    ended.then(code => reject(new Error(`the server ended (${code}): ${log}`)))
  })
}

module.exports = { startRedis }
