import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { startMlflow } from '@ecokit/peers'
import { changed, openFixtureServer, samplePartners } from '../fixture-server.ts'
import type { World } from './control.ts'
import { sampleEcosystem, writeWorkspace } from './workspace.ts'

/** A world, and what the tests need to know of it. */
export interface OpenWorld extends World {
  readonly kind: 'fixture' | 'real'
  readonly partners: readonly string[]
  close(): Promise<void>
}

/** Our own server of the API, in this process: exact, and quick to break. */
export const openFixtureWorld = async (folder: string): Promise<OpenWorld> => {
  await writeWorkspace(folder, sampleEcosystem)
  const server = await openFixtureServer(samplePartners, folder)
  const reason = { code: 'unavailable', message: 'MLflow at 127.0.0.1:5001 cannot be reached (ECONNREFUSED)' }
  return {
    kind: 'fixture',
    partners: samplePartners.map(({ name }) => name).sort(),
    requests: () => server.requests,
    ecokit: (...words) => runEcokit(path.join(folder, 'secrets'), words),
    partner: (name, state) => {
      server.set(state === 'up' ? changed(name, {}) : changed(name, { status: 'unhealthy', ...reason }))
      return Promise.resolve()
    },
    server: (state) => (state === 'up' ? server.start() : server.stop()),
    close: () => server.close(),
  }
}

const freePort = async (): Promise<number> => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const ecokit = path.resolve(import.meta.dirname, '../../../../packages/host/cli/src/bin.ts')

/** Runs `ecokit` to its end in a folder; gives what it printed. */
const runEcokit = async (cwd: string, words: readonly string[]): Promise<string> => {
  const child = spawn(process.execPath, [ecokit, ...words], { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  let printed = ''
  const keep = (chunk: Buffer): void => {
    printed += chunk.toString()
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  await once(child, 'close')
  return printed
}

/** The problems that the command line finds in a file, as `line:column field: message`. */
export const askCommandLine = async (file: string): Promise<readonly string[]> => {
  const child = spawn(process.execPath, [ecokit, 'check', '--file', path.basename(file)], { cwd: path.dirname(file) })
  let printed = ''
  child.stderr.on('data', (chunk: Buffer) => {
    printed += chunk.toString()
  })
  child.stdout.resume()
  await once(child, 'close')
  return printed.split('\n').flatMap((line) => /ecosystem\.\w+:(\d+:\d+ .+)$/.exec(line)?.[1] ?? [])
}

/** Starts `ecokit up` in a folder and waits until it has announced itself. */
const startEcokit = async (folder: string): Promise<() => Promise<void>> => {
  const child = spawn(process.execPath, [ecokit, 'up'], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let printed = ''
  const keep = (chunk: Buffer): void => {
    printed = (printed + chunk.toString()).slice(-4000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const ended = once(child, 'exit')
  const announced = path.join(folder, '.ecokit', 'server.json')
  const limit = Date.now() + 60_000
  while (!existsSync(announced)) {
    await wait(50)
    if (child.exitCode !== null || Date.now() > limit) {
      child.kill('SIGKILL')
      throw new Error(`ecokit up did not start:\n${printed}`)
    }
  }
  return async () => {
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
    await ended
    clearTimeout(timer)
  }
}

/** A real MLflow server, a local lake, and `ecokit up` that watches both. */
export const openRealWorld = async (folder: string): Promise<OpenWorld> => {
  const mlflowFolder = path.join(folder, 'mlflow')
  await mkdir(mlflowFolder)
  const mlflow = await startMlflow({ folder: mlflowFolder })
  try {
    const ecosystem = `version: 1
partners:
  mlflow:
    connector: mlflow
    config: { trackingUri: '${mlflow.url}' }
    check: { every: 1s, timeout: 5s }
  lake:
    connector: local
    config: { database: lake.duckdb }
    check: { every: 1s }
server: { port: ${await freePort()} }
`
    await writeWorkspace(folder, ecosystem)
    let stop = await startEcokit(folder)
    return {
      kind: 'real',
      partners: ['lake', 'mlflow'],
      requests: () => [],
      ecokit: (...words) => runEcokit(path.join(folder, 'secrets'), words),
      partner: (_, state) => (state === 'up' ? mlflow.restart() : mlflow.stop()),
      server: async (state) => {
        if (state === 'up') stop = await startEcokit(folder)
        else await stop()
      },
      close: async () => {
        await stop()
        await mlflow.stop()
      },
    }
  } catch (error) {
    await mlflow.stop()
    throw error
  }
}
