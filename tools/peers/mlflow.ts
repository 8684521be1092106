import { spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { end, startAnywhere, startOn, type Starting } from './process.ts'
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

const healthy = async (url: string): Promise<boolean> => {
  try {
    const reply = await fetch(`${url}/health`, { signal: AbortSignal.timeout(2000) })
    await reply.body?.cancel()
    return reply.ok
  } catch {
    return false
  }
}

/** Starts `mlflow server` and waits until it answers. Ends early, with the last lines of its log, when it dies. Nothing of it outlives this process. */
export const startMlflow = async (options: MlflowOptions): Promise<Mlflow> => {
  const executable = await python(options)
  const folder = path.resolve(options.folder)
  await mkdir(folder, { recursive: true })
  const log = path.resolve(options.log ?? path.join(folder, 'mlflow.log'))
  const database = path.join(folder, 'mlflow.db').replaceAll('\\', '/')
  const starting: Starting = {
    title: 'MLflow',
    log,
    startTimeoutMs: options.startTimeoutMs ?? 120_000,
    signal: options.signal,
    launch: (port, output) =>
      spawn(
        executable,
        [serveScript, executable, '-m', 'mlflow', 'server', '--host', '127.0.0.1', '--port', String(port)]
          .concat('--workers', '1', '--backend-store-uri', `sqlite:///${database}`)
          .concat('--artifacts-destination', path.join(folder, 'artifacts'), options.serverArguments ?? []),
        {
          cwd: folder,
          // serve.py ends its whole group, so it must be the leader of one of its own.
          detached: process.platform !== 'win32',
          stdio: ['pipe', output, output],
          env: { ...quietEnvironment(), ...options.environment },
          windowsHide: true,
        },
      ),
    // The log is asked too: /health alone could be somebody else's server.
    ready: async (port, text) => text.includes('running on') && (await healthy(`http://127.0.0.1:${port}`)),
  }
  const chosen = options.port ?? 0
  const first = chosen === 0 ? await startAnywhere(starting) : { port: chosen, child: await startOn(chosen, starting) }
  let { child } = first
  return {
    url: `http://127.0.0.1:${first.port}`,
    port: first.port,
    log,
    stop: () => end(child, 'stop'),
    kill: () => end(child, 'kill'),
    async restart() {
      await end(child, 'stop')
      child = await startOn(first.port, starting)
    },
    [Symbol.asyncDispose]: () => end(child, 'stop'),
  }
}
