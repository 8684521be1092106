import { spawn } from 'node:child_process'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import path from 'node:path'
import { certificate, key } from './azurite-certificate.ts'
import { withLock } from './lock.ts'
import { npmInstall } from './npm.ts'
import { end, startAnywhere } from './process.ts'
import type { PythonOptions } from './python.ts'
import { azuriteFolder, serveNodeScript } from './scripts.ts'

/** 3.37.0 asks for a version of one of its dependencies that was never published. */
const version = '3.36.0'
const stampFile = path.join(azuriteFolder, '.stamp')
const program = path.join(azuriteFolder, 'node_modules/azurite/dist/src/blob/main.js')

const install = async (options: PythonOptions): Promise<void> => {
  const say = options.progress ?? (() => {})
  say(`Fetching azurite ${version}, Microsoft's emulator of Azure Storage (once; under a minute)`)
  await npmInstall(azuriteFolder, `azurite@${version}`, 'azurite', options)
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
