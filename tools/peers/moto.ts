import { spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { end, startAnywhere } from './process.ts'
import { motoPython, quietEnvironment, type PythonOptions } from './python.ts'
import { serveScript } from './scripts.ts'

export interface MotoOptions extends PythonOptions {
  /** Holds its log; the data is in memory. */
  readonly folder: string
  /** Default 60,000 ms. */
  readonly startTimeoutMs?: number
}
/** moto's server: an emulator of AWS, all services on one port, IAM, STS, S3 and SQS among them. */
export interface Moto extends AsyncDisposable {
  /** Without a trailing slash. */
  readonly url: string
  /**
   * From now on every call must be signed by a known key that may make it, as on AWS; before, anybody may do anything.
   * https://docs.getmoto.org/en/latest/docs/iam.html
   */
  enforceAuth(): Promise<void>
  stop(): Promise<void>
}

const answers = async (url: string): Promise<boolean> => {
  try {
    const reply = await fetch(`${url}/moto-api/data.json`, { signal: AbortSignal.timeout(2000) })
    await reply.body?.cancel()
    return reply.ok
  } catch {
    return false
  }
}

/** Starts `moto_server` and waits until it answers. Nothing of it outlives this process. */
export const startMoto = async (options: MotoOptions): Promise<Moto> => {
  const executable = await motoPython(options)
  const folder = path.resolve(options.folder)
  await mkdir(folder, { recursive: true })
  const { port, child } = await startAnywhere({
    title: 'moto',
    log: path.join(folder, 'moto.log'),
    startTimeoutMs: options.startTimeoutMs ?? 60_000,
    signal: options.signal,
    launch: (chosen, output) =>
      spawn(executable, [serveScript, executable, '-m', 'moto.server', '-H', '127.0.0.1', '-p', String(chosen)], {
        cwd: folder,
        detached: process.platform !== 'win32',
        stdio: ['pipe', output, output],
        env: quietEnvironment(),
        windowsHide: true,
      }),
    ready: async (chosen, text) => text.includes('Running on') && (await answers(`http://127.0.0.1:${chosen}`)),
  })
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    async enforceAuth() {
      const reply = await fetch(`${url}/moto-api/reset-auth`, { method: 'POST', body: '0' })
      await reply.body?.cancel()
      if (!reply.ok) throw new Error(`moto answered ${reply.status} when it was to enforce auth`)
    },
    stop: () => end(child, 'stop'),
    [Symbol.asyncDispose]: () => end(child, 'stop'),
  }
}
