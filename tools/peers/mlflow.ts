import { spawn, type ChildProcess } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, open, readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { integrationError } from '@ecokit/contracts'
import { python, quietEnvironment, type PythonOptions } from './python.ts'
import { serveScript } from './scripts.ts'

export interface MlflowOptions extends PythonOptions {
  /** Holds the database and the artifacts; made when it is not there. Two servers may not share one. */
  readonly folder: string
  /** 0 or absent: a free one. */
  readonly port?: number
  /** Where its output goes, appended; default `mlflow.log` in the folder. */
  readonly log?: string
  /** More for `mlflow server`, such as `--app-name basic-auth`. */
  readonly serverArguments?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** Default 120,000 ms: a cold import on a slow disk takes long. */
  readonly startTimeoutMs?: number
}
/** A real MLflow tracking server on this machine. */
export interface Mlflow extends AsyncDisposable {
  /** Without a trailing slash. */
  readonly url: string
  readonly port: number
  readonly log: string
  /** Ends it and all its processes; the data stays. */
  stop(): Promise<void>
  /** The same with SIGKILL. */
  kill(): Promise<void>
  /** Starts it again, on the same port and data; after `stop` or `kill`. */
  restart(): Promise<void>
}

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
const freePort = async (): Promise<number> => {
  for (;;) {
    const port = randomInt(20_000, 32_000)
    if (await bindable(port)) return port
  }
}

const healthy = async (url: string): Promise<boolean> => {
  try {
    const reply = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2000) })
    await reply.body?.cancel()
    return reply.ok
  } catch {
    return false
  }
}

const launch = async (port: number, log: string, options: MlflowOptions): Promise<ChildProcess> => {
  const executable = await python(options)
  const folder = path.resolve(options.folder)
  const file = await open(log, 'a')
  const database = path.join(folder, 'mlflow.db').replaceAll('\\', '/')
  const child = spawn(
    executable,
    [serveScript, executable, '-m', 'mlflow', 'server', '--host', '127.0.0.1', '--port', String(port)]
      .concat('--workers', '1', '--backend-store-uri', `sqlite:///${database}`)
      .concat('--artifacts-destination', path.join(folder, 'artifacts'), options.serverArguments ?? []),
    {
      cwd: folder,
      // serve.py ends its whole group, so it must be the leader of one of its own.
      detached: process.platform !== 'win32',
      stdio: ['pipe', file.fd, file.fd],
      env: { ...quietEnvironment(), ...options.environment },
      windowsHide: true,
    },
  )
  child.on('error', () => {})
  child.stdin?.on('error', () => {})
  await file.close()
  return child
}

const ended = (child: ChildProcess): boolean => child.exitCode !== null || child.signalCode !== null
const end = async (child: ChildProcess, how: 'stop' | 'kill'): Promise<void> => {
  if (ended(child)) return
  const exit = once(child, 'exit')
  if (how === 'kill' && child.pid !== undefined && process.platform !== 'win32') process.kill(-child.pid, 'SIGKILL')
  else child.stdin?.end()
  await exit
}

const untilReady = async (child: ChildProcess, url: string, logged: () => Promise<string>, options: MlflowOptions) => {
  const timeoutMs = options.startTimeoutMs ?? 120_000
  const deadline = Date.now() + timeoutMs
  for (;;) {
    const text = await logged()
    // The log is asked too: /health alone could be somebody else's server.
    if (!ended(child) && text.includes('running on') && (await healthy(url))) return
    const died = ended(child)
    if (died || options.signal?.aborted === true || Date.now() > deadline) {
      await end(child, 'stop')
      options.signal?.throwIfAborted()
      const what = died ? 'the MLflow server ended while it was starting' : 'the MLflow server did not answer in time'
      throw integrationError(died ? 'unavailable' : 'timeout', {
        what: `${what}. Last lines of its log:\n${text.trim().split('\n').slice(-12).join('\n')}`,
        details: { cause: /address already in use|Errno (48|98|10048)/i.test(text) ? 'EADDRINUSE' : 'EXIT', timeoutMs },
        retryable: died,
      })
    }
    await sleep(100)
  }
}

/** Starts `mlflow server` and waits until it answers. Ends early, with the last lines of its log, when it dies. Nothing of it outlives this process. */
export const startMlflow = async (options: MlflowOptions): Promise<Mlflow> => {
  await mkdir(options.folder, { recursive: true })
  const log = path.resolve(options.log ?? path.join(options.folder, 'mlflow.log'))
  const chosen = options.port ?? 0
  const start = async (port: number): Promise<ChildProcess> => {
    const before = (await readFile(log, 'utf8').catch(() => '')).length
    const child = await launch(port, log, options)
    const logged = async () => (await readFile(log, 'utf8').catch(() => '')).slice(before)
    await untilReady(child, `http://127.0.0.1:${port}`, logged, options)
    return child
  }
  const startAnywhere = async (attempts: number): Promise<{ port: number; child: ChildProcess }> => {
    const port = await freePort()
    try {
      return { port, child: await start(port) }
    } catch (error) {
      const taken = (error as { details?: { cause?: string } }).details?.cause === 'EADDRINUSE'
      if (!taken || attempts <= 1) throw error
      return startAnywhere(attempts - 1)
    }
  }
  const first = chosen === 0 ? await startAnywhere(5) : { port: chosen, child: await start(chosen) }
  let { child } = first
  return {
    url: `http://127.0.0.1:${first.port}`,
    port: first.port,
    log,
    stop: () => end(child, 'stop'),
    kill: () => end(child, 'kill'),
    async restart() {
      await end(child, 'stop')
      child = await start(first.port)
    },
    [Symbol.asyncDispose]: () => end(child, 'stop'),
  }
}
