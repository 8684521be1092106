import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { integrationError } from '@ecokit/contracts'
import type { PythonOptions } from './python.ts'

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

/** Installs one pinned package into a folder of its own, which is emptied first; no script of any package runs. `title` is what the message calls it. */
export const npmInstall = async (
  folder: string,
  wanted: string,
  title: string,
  options: PythonOptions,
): Promise<void> => {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  await writeFile(path.join(folder, 'package.json'), '{ "private": true }\n')
  const { command, before } = findNpm()
  const words = [
    'install',
    wanted,
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--fetch-retries=1',
  ]
  const child = spawn(command, [...before, ...words], {
    cwd: folder,
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
      what: `${title} cannot be installed: ${output.trim().split('\n').slice(0, 3).join(' ') || 'npm was not found'}`,
      next: 'See that npm is there and can reach its registry, then try again',
      details: {},
      retryable: false,
    })
}
