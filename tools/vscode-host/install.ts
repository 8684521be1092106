import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

/** code-server 4.139.1 carries Code 1.139.1; its native parts need the Node major that it was made for. */
const version = '4.139.1'
const nodeMajor = 24

const root = path.resolve(import.meta.dirname, '../..')
/** The git-ignored folder that all test peers are kept in. */
export const cacheFolder = path.join(root, '.cache')
const folder = path.join(cacheFolder, 'code-server')
const stampFile = path.join(folder, 'stamp.json')
const lockFile = path.join(cacheFolder, 'code-server.lock')
const packageFolder = path.join(folder, 'node_modules/code-server')

/** What is needed to start code-server: its entry and the Node that its addons were compiled for. */
export interface CodeServer {
  readonly version: string
  readonly node: string
  readonly entry: string
}

const findNode = (): string => {
  if (process.versions.node.startsWith(`${nodeMajor}.`)) return process.execPath
  const own = path.join(root, 'node_modules/node/bin/node')
  if (existsSync(own)) return own
  throw new Error(`code-server ${version} needs Node ${nodeMajor}; install the workspace's dependencies first`)
}

/** The folder that holds include/node: beside the binary in an ordinary install, one package deeper in the npm package `node`. */
const findHeaders = (node: string): string | undefined =>
  [
    path.resolve(node, '../..'),
    path.resolve(node, '../../node_modules', `node-${process.platform}-${process.arch}`),
    path.resolve(node, '../../node_modules', `node-bin-${process.platform}-${process.arch}`),
  ].find((candidate) => existsSync(path.join(candidate, 'include/node/node.h')))

/** The caller's environment without what pnpm or npm told it: code-server's own scripts refuse any manager but npm, on the right Node. */
const cleanEnvironment = (node: string): NodeJS.ProcessEnv => {
  const told = /^npm_(config_user_agent|config_verify|config__jsr|lifecycle|package|execpath|node_execpath|command)/i
  const kept = Object.entries(process.env).filter(([name]) => !told.test(name))
  const headers = findHeaders(node)
  return {
    ...Object.fromEntries(kept),
    PATH: `${path.dirname(node)}${path.delimiter}${process.env['PATH'] ?? ''}`,
    ...(headers === undefined ? {} : { npm_config_nodedir: headers }),
  }
}

const npm = async (cwd: string, environment: NodeJS.ProcessEnv, words: readonly string[]): Promise<void> => {
  const child = spawn('npm', [...words, '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-4000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  if (code !== 0) throw new Error(`npm ${words.join(' ')} ended with ${code ?? 'a signal'}:\n${output.trim()}`)
}

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** One install at a time, also over processes; a lock whose holder is gone is taken over. */
const withLock = async <T>(progress: (line: string) => void, work: () => Promise<T>): Promise<T> => {
  await mkdir(cacheFolder, { recursive: true })
  for (let told = false; ;) {
    try {
      await writeFile(lockFile, String(process.pid), { flag: 'wx' })
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    }
    const holder = Number(await readFile(lockFile, 'utf8').catch(() => ''))
    if (holder > 0 && !alive(holder)) await rm(lockFile, { force: true })
    else if (!told) {
      told = true
      progress('code-server: another process is installing it, waiting')
    }
    await wait(250)
  }
  try {
    return await work()
  } finally {
    await rm(lockFile, { force: true })
  }
}

/**
 * Makes sure that code-server stands in the cache and says how to start it. The install is lean: no install scripts, then only the three addons that
 * the server cannot start without and its password hasher are compiled, against the headers that the npm package `node` brings along.
 * The first time takes a minute or two, a compiler and Python; later calls only read the stamp.
 */
export const installCodeServer = async (
  progress: (line: string) => void = (line) => {
    console.log(line)
  },
): Promise<CodeServer> => {
  const node = findNode()
  const installed = { version, node, entry: path.join(packageFolder, 'out/node/entry.js') }
  const stamp = JSON.stringify({ version, node: nodeMajor, platform: process.platform, arch: process.arch })
  const ready = async (): Promise<boolean> => (await readFile(stampFile, 'utf8').catch(() => '')) === stamp
  if (await ready()) return installed
  return await withLock(progress, async () => {
    if (await ready()) return installed
    const environment = cleanEnvironment(node)
    const server = path.join(packageFolder, 'lib/vscode')
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, { recursive: true })
    await writeFile(path.join(folder, 'package.json'), '{ "private": true }\n')
    progress(`code-server ${version}: downloading (1 of 4; once, a minute or two in all)`)
    await npm(folder, environment, ['install', `code-server@${version}`, '--ignore-scripts'])
    progress('code-server: compiling its password hasher (2 of 4)')
    await npm(packageFolder, environment, ['rebuild', 'argon2'])
    progress('code-server: downloading the editor’s own dependencies (3 of 4)')
    await npm(server, environment, ['install', '--omit=dev', '--ignore-scripts'])
    progress('code-server: compiling the logger, the watchdog and the terminal (4 of 4)')
    await npm(server, environment, ['rebuild', '@vscode/spdlog', '@vscode/native-watchdog', 'node-pty'])
    await writeFile(stampFile, stamp)
    progress(`code-server ${version}: ready`)
    return installed
  })
}

if (import.meta.main)
  installCodeServer().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error))
    process.exitCode = 1
  })
