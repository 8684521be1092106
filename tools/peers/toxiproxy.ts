import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, rename, rm, stat } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { integrationError } from '@ecokit/contracts'
import { withLock } from './lock.ts'
import { freePort } from './process.ts'

/** Of the Go module proxy; the newest there. */
const version = 'v2.5.0'
const folder = fileURLToPath(new URL(`../../.cache/toxiproxy/${version}`, import.meta.url))
const windows = process.platform === 'win32'
const executable = path.join(folder, windows ? 'server.exe' : 'server')

export interface ToxiproxyOptions {
  /** One sentence whenever something that takes long begins or goes on. */
  readonly progress?: (message: string) => void
  readonly signal?: AbortSignal | undefined
}

const there = (file: string): Promise<boolean> =>
  stat(file).then(
    () => true,
    () => false,
  )

const build = async ({ progress = () => {}, signal }: ToxiproxyOptions): Promise<void> => {
  progress('Building Toxiproxy (once; half a minute)')
  const making = `${folder}.making`
  await rm(making, { recursive: true, force: true })
  await mkdir(making, { recursive: true })
  const child = spawn('go', ['install', `github.com/Shopify/toxiproxy/v2/cmd/server@${version}`], {
    // Outside of any module, and for this machine whatever is set for others.
    cwd: making,
    env: { ...process.env, GOBIN: making, GOFLAGS: '-mod=mod', GOOS: '', GOARCH: '', CGO_ENABLED: '0' },
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(signal === undefined ? {} : { signal }),
  })
  const said: string[] = []
  createInterface(child.stderr).on('line', (line) => {
    if (line.startsWith('go: downloading ')) progress(`Fetching ${line.slice('go: downloading '.length)}`)
    else said.push(line)
  })
  const missing = once(child, 'error').then(([error]) => error as NodeJS.ErrnoException)
  const outcome = await Promise.race([missing, once(child, 'close').then(([code]) => code as number)])
  if (outcome === 0) {
    await rm(folder, { recursive: true, force: true })
    await rename(making, folder)
    return
  }
  signal?.throwIfAborted()
  const noGo = typeof outcome !== 'number' && outcome.code === 'ENOENT'
  throw integrationError('unavailable', {
    what: noGo ? 'no Go was found to build Toxiproxy with' : `Toxiproxy cannot be built: ${said.slice(-3).join(' ')}`,
    next: noGo
      ? 'Install Go 1.18 or newer from go.dev, so that `go` answers'
      : 'See that the Go module proxy can be reached, then try again',
    details: { cause: noGo ? 'ENOENT' : 'EXIT' },
    retryable: false,
  })
}

/** The path of the server; built on the first call under a lock, reused later. Throws `unavailable` with what is missing. */
export const toxiproxy = async (options: ToxiproxyOptions = {}): Promise<string> => {
  if (!(await there(executable)))
    await withLock(folder, 'Toxiproxy', options, async () => {
      if (!(await there(executable))) await build(options)
    })
  return executable
}

/** The faults of TCP, with what each is told (README of Toxiproxy). Times are milliseconds, rates KB a second. */
export type Toxic =
  | { readonly type: 'latency'; readonly attributes: { readonly latency: number; readonly jitter?: number } }
  | { readonly type: 'bandwidth'; readonly attributes: { readonly rate: number } }
  | { readonly type: 'slow_close'; readonly attributes: { readonly delay: number } }
  /** Nothing comes through; the connection is closed after that time, never with 0. */
  | { readonly type: 'timeout'; readonly attributes: { readonly timeout: number } }
  | { readonly type: 'reset_peer'; readonly attributes: { readonly timeout: number } }
  /** `delay` in microseconds. */
  | {
      readonly type: 'slicer'
      readonly attributes: {
        readonly average_size: number
        readonly size_variation: number
        readonly delay: number
      }
    }
  | { readonly type: 'limit_data'; readonly attributes: { readonly bytes: number } }

/** One listener before one upstream. */
export interface ToxicProxy {
  readonly port: number
  /** Adds a fault to what comes from the upstream, on that share of the connections that are made from now on. */
  add(toxic: Toxic, toxicity?: number): Promise<void>
  /** Closes the listener and everything that goes through it. */
  down(): Promise<void>
  /** Up, and without a fault. */
  clear(): Promise<void>
}
/** A real Toxiproxy server on this machine. */
export interface Toxiproxy extends AsyncDisposable {
  /** `upstream` is host and port. */
  proxy(upstream: string): Promise<ToxicProxy>
  stop(): Promise<void>
}

/** Runs the command until standard input closes, which also happens when this process dies. */
const guard = `const child = require('node:child_process').spawn(process.argv[1], process.argv.slice(2), { stdio: ['ignore', 'inherit', 'inherit'] })
child.on('exit', (code) => process.exit(code ?? 1)).on('error', () => process.exit(1))
process.stdin.on('end', () => child.kill()).resume()`

const launch = async (
  server: string,
  seed: number,
  attempts: number,
): Promise<{ readonly child: ChildProcess; readonly api: string }> => {
  const port = await freePort()
  const child = spawn(
    process.execPath,
    ['-e', guard, server, '-host', '127.0.0.1', '-port', String(port), '-seed', String(seed)],
    { stdio: ['pipe', 'ignore', 'ignore'], env: { ...process.env, LOG_LEVEL: 'error' }, windowsHide: true },
  )
  child.stdin.on('error', () => {})
  const api = `http://127.0.0.1:${port}`
  const answers = () =>
    fetch(`${api}/version`).then(
      (reply) => reply.ok,
      () => false,
    )
  const deadline = Date.now() + 20_000
  while (child.exitCode === null && Date.now() < deadline) {
    if (await answers()) return { child, api }
    await sleep(20)
  }
  child.stdin.end()
  if (attempts > 1) return launch(server, seed, attempts - 1)
  throw integrationError('unavailable', { what: 'the Toxiproxy server did not start', details: { cause: 'EXIT' } })
}

/** Starts the server; what it draws comes from the seed. */
export const startToxiproxy = async (
  options: ToxiproxyOptions & { readonly seed?: number } = {},
): Promise<Toxiproxy> => {
  const { child, api } = await launch(await toxiproxy(options), options.seed ?? 1, 3)
  const call = async (path: string, body?: object): Promise<unknown> => {
    const reply = await fetch(api + path, {
      method: 'POST',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await reply.text()
    if (!reply.ok)
      throw integrationError('rejected', { what: `Toxiproxy says: ${text.trim()}`, details: { status: reply.status } })
    return text === '' ? undefined : JSON.parse(text)
  }
  let made = 0
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null) return
    const exit = once(child, 'exit')
    child.stdin?.end()
    await exit
  }
  return {
    proxy: async (upstream) => {
      const name = `proxy-${(made += 1)}`
      const { listen } = (await call('/proxies', { name, listen: '127.0.0.1:0', upstream, enabled: true })) as {
        listen: string
      }
      // Once it is known, so that it comes back on the same port after `down`.
      await call(`/proxies/${name}`, { listen })
      return {
        port: Number(listen.slice(listen.lastIndexOf(':') + 1)),
        add: async ({ type, attributes }, toxicity = 1) => {
          await call(`/proxies/${name}/toxics`, { name: type, type, stream: 'downstream', toxicity, attributes })
        },
        down: async () => {
          await call(`/proxies/${name}`, { enabled: false })
        },
        clear: async () => {
          await call('/reset')
        },
      }
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
