import type { ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { open, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { integrationError } from '@ecokit/contracts'

const bindable = async (port: number): Promise<boolean> => {
  const server = createServer()
  const listening = once(server, 'listening').then(
    () => true,
    () => false,
  )
  server.listen(port, '127.0.0.1')
  if (!(await listening)) return false
  server.close()
  await once(server, 'close')
  return true
}
/** Below the ranges from which the systems hand out ports by themselves, so that nobody is given it between this and the start. */
export const freePort = async (): Promise<number> => {
  for (;;) {
    const port = randomInt(20_000, 32_000)
    if (await bindable(port)) return port
  }
}

const ended = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null
/** Ends it and all its processes; `stop` closes its standard input, on which it goes by itself. */
export const end = async (child: ChildProcess, how: 'stop' | 'kill'): Promise<void> => {
  if (ended(child)) return
  const exit = once(child, 'exit')
  if (how === 'kill' && child.pid !== undefined && process.platform !== 'win32') process.kill(-child.pid, 'SIGKILL')
  else child.stdin?.end()
  await exit
}

export interface Starting {
  /** For messages: `MLflow`. */
  readonly title: string
  /** Where its output goes, appended. */
  readonly log: string
  /** Starts the process as the leader of a group of its own; `output` is the log's descriptor. */
  launch(port: number, output: number): ChildProcess
  /** Whether it answers; `text` is what it has logged so far. */
  ready(port: number, text: string): Promise<boolean>
  readonly startTimeoutMs: number
  readonly signal: AbortSignal | undefined
}

const untilReady = async (child: ChildProcess, port: number, starting: Starting, logged: () => Promise<string>) => {
  const { title, startTimeoutMs: timeoutMs, signal } = starting
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const text = await logged()
    if (!ended(child) && (await starting.ready(port, text))) return
    const died = ended(child)
    if (died || signal?.aborted === true || Date.now() > deadline) {
      await end(child, 'stop')
      signal?.throwIfAborted()
      const what = died
        ? `the ${title} server ended while it was starting`
        : `the ${title} server did not answer in time`
      throw integrationError(died ? 'unavailable' : 'timeout', {
        what: `${what}. Last lines of its log:\n${text.trim().split('\n').slice(-12).join('\n')}`,
        details: {
          cause: /address already in use|EADDRINUSE|Errno (48|98|10048)/i.test(text) ? 'EADDRINUSE' : 'EXIT',
          timeoutMs,
        },
        retryable: died,
      })
    }
    await sleep(100)
  }
}

/** Starts a server on that port and waits until it answers; ends early, with the last lines of its log, when it dies. */
export const startOn = async (port: number, starting: Starting): Promise<ChildProcess> => {
  const before = (await readFile(starting.log, 'utf8').catch(() => '')).length
  const file = await open(starting.log, 'a')
  const child = starting.launch(port, file.fd)
  child.on('error', () => {})
  child.stdin?.on('error', () => {})
  await file.close()
  const logged = async () => (await readFile(starting.log, 'utf8').catch(() => '')).slice(before)
  await untilReady(child, port, starting, logged)
  return child
}

/** The same on a free port; on another one where somebody was faster. */
export const startAnywhere = async (
  starting: Starting,
  attempts = 5,
): Promise<{ readonly port: number; readonly child: ChildProcess }> => {
  const port = await freePort()
  try {
    return { port, child: await startOn(port, starting) }
  } catch (error) {
    const taken = (error as { details?: { cause?: string } }).details?.cause === 'EADDRINUSE'
    if (!taken || attempts <= 1) throw error
    return startAnywhere(starting, attempts - 1)
  }
}
