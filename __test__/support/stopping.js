'use strict'

// Processes that are stopped, as by a debugger or Ctrl-Z.

const fs = require('node:fs')

const canStop = process.platform === 'linux' ? false : 'needs /proc, to see that a process stopped'

/** Stops a process; returns when no thread of it runs any more. */
function stop ({ pid }) {
  process.kill(pid, 'SIGSTOP')
  const isStopped = (thread) => {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1')
      return / T /.test(stat.replace(/.*\)/s, ''))
    } catch (error) {
      // A thread that was about to end when the signal came ends; the others are looked at again.
      if (['ENOENT', 'ESRCH'].includes(error.code) && fs.existsSync(`/proc/${pid}`)) return false
      throw error
    }
  }
  while (!fs.readdirSync(`/proc/${pid}/task`).every(isStopped));
}

const resume = ({ pid }) => process.kill(pid, 'SIGCONT')

/** Stops a process at a moment at which `attempt` throws ERR_BUSY. */
function stopInside (process, attempt) {
  for (;;) {
    stop(process)
    try {
      attempt()
    } catch (error) {
      if (error.code !== 'ERR_BUSY') throw error
      return error
    }
    resume(process)
  }
}

module.exports = { canStop, resume, stop, stopInside }
