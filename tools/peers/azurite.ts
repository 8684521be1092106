import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import path from 'node:path'
import { integrationError } from '@ecokit/contracts'
import { certificate, key } from './azurite-certificate.ts'
import { withLock } from './lock.ts'
import { end, startAnywhere } from './process.ts'
import type { PythonOptions } from './python.ts'
import { azuriteFolder, serveNodeScript } from './scripts.ts'

/** 3.37.0 asks for a version of one of its dependencies that was never published. */
const version = '3.36.0'
const stampFile = path.join(azuriteFolder, '.stamp')
const program = path.join(azuriteFolder, 'node_modules/azurite/dist/src/blob/main.js')

/** npm of the Node that runs, else the one on the path. */
const findNpm = (): { readonly command: string; readonly before: readonly string[] } => {
  const beside = [
    path.resolve(process.execPath, '../../lib/node_modules/npm/bin/npm-cli.js'),
    path.resolve(process.execPath, '../node_modules/npm/bin/npm-cli.js'),
  ].find((file) => existsSync(file))
  if (beside !== undefined) return { command: process.execPath, before: [beside] }
  return { command: process.platform === 'win32' ? 'npm.cmd' : 'npm', before: [] }
}

/** How this machine reaches a registry. npm looks for its global file beside its Node, so on ours it would not see an authority or a proxy that stands in the machine's own. */
const reaching = /^npm_config_(?:registry|globalconfig|userconfig|cafile|ca|https_proxy|proxy|noproxy|strict_ssl)$/i
/** Without what else pnpm or npm told us; npm picks versions by the Node that it runs on, so ours goes first. */
const npmEnvironment = (): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name) || reaching.test(name))),
  PATH: `${path.dirname(process.execPath)}${path.delimiter}${process.env['PATH'] ?? ''}`,
})

const install = async (options: PythonOptions): Promise<void> => {
  const say = options.progress ?? (() => {})
  say(`Fetching azurite ${version}, Microsoft's emulator of Azure Storage (once; under a minute)`)
  await rm(azuriteFolder, { recursive: true, force: true })
  await mkdir(azuriteFolder, { recursive: true })
  await writeFile(path.join(azuriteFolder, 'package.json'), '{ "private": true }\n')
  const { command, before } = findNpm()
  const words = [
    'install',
    `azurite@${version}`,
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--fetch-retries=1',
  ]
  const child = spawn(command, [...before, ...words], {
    cwd: azuriteFolder,
    env: npmEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe'],
    shell: command === 'npm.cmd',
    // A registry that fails package after package would keep everybody waiting for half an hour.
    timeout: 300_000,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-2000)))
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', () => resolve(null))
    child.on('close', resolve)
    options.signal?.addEventListener('abort', () => reject(options.signal?.reason as Error), { once: true })
  })
  if (code !== 0)
    throw integrationError('unavailable', {
      what: `azurite cannot be installed: ${output.trim().split('\n').slice(0, 3).join(' ') || 'npm was not found'}`,
      next: 'See that npm is there and can reach its registry, then try again',
      details: {},
      retryable: false,
    })
  await writeFile(stampFile, version)
  say('azurite is ready')
}

/** The path of azurite's blob server; installed into the cache on the first call, under a lock, and reused later. Throws `unavailable` with what is missing. */
export const azurite = async (options: PythonOptions = {}): Promise<string> => {
  const ready = async () => (await readFile(stampFile, 'utf8').catch(() => '')) === version
  if (!(await ready()))
    await withLock(azuriteFolder, 'azurite', options, async () => {
      if (!(await ready())) await install(options)
    })
  return program
}

export interface AzuriteOptions extends PythonOptions {
  /** Holds its log; the data is in memory. */
  readonly folder: string
  /** Default 60,000 ms. */
  readonly startTimeoutMs?: number
}
/** Microsoft's emulator of Azure Blob Storage, checking the claims of bearer tokens (`--oauth basic`; signatures it does not check). */
export interface Azurite extends AsyncDisposable {
  /** With the account (`devstoreaccount1`), without a trailing slash. */
  readonly url: string
  /** Its certificate in PEM, for those who are to trust it: azurite takes OAuth over https only. */
  readonly ca: string
  stop(): Promise<void>
}

const answers = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const asked = request(
      { host: '127.0.0.1', port, path: '/', ca: certificate, timeout: 2000, agent: false },
      (reply) => {
        reply.resume()
        resolve(true)
      },
    )
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(false))
    asked.end()
  })

/** Starts azurite's blob server with OAuth and waits until it answers. Nothing of it outlives this process. */
export const startAzurite = async (options: AzuriteOptions): Promise<Azurite> => {
  const script = await azurite(options)
  const folder = path.resolve(options.folder)
  await mkdir(folder, { recursive: true })
  const certFile = path.join(folder, 'cert.pem')
  const keyFile = path.join(folder, 'key.pem')
  await writeFile(certFile, certificate)
  await writeFile(keyFile, key, { mode: 0o600 })
  const { port, child } = await startAnywhere({
    title: 'azurite',
    log: path.join(folder, 'azurite.log'),
    startTimeoutMs: options.startTimeoutMs ?? 60_000,
    signal: options.signal,
    launch: (chosen, output) =>
      spawn(
        process.execPath,
        [serveNodeScript, script, '--blobHost', '127.0.0.1', '--blobPort', String(chosen), '--oauth', 'basic']
          .concat('--cert', certFile, '--key', keyFile, '--inMemoryPersistence')
          .concat('--skipApiVersionCheck', '--disableTelemetry'),
        { cwd: folder, detached: process.platform !== 'win32', stdio: ['pipe', output, output], windowsHide: true },
      ),
    ready: async (chosen, text) => text.includes('successfully listens on') && (await answers(chosen)),
  })
  return {
    url: `https://127.0.0.1:${port}/devstoreaccount1`,
    ca: certificate,
    stop: () => end(child, 'stop'),
    [Symbol.asyncDispose]: () => end(child, 'stop'),
  }
}
