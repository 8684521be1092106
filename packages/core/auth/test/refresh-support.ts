import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { Shared } from '@ecokit/contracts'
import { browse } from '@ecokit/peers'
import { openShared, openStore } from '@ecokit/store'
import { contextOf } from './oauth-support.ts'
import { refreshScheme, type Report, type Task } from './refresh-scheme.ts'

/** `pnpm prove refresh` runs a hundred rounds, and the minute under fire; the test command a tenth. */
export const rounds = Number(process.env['ECOKIT_REFRESHES'] ?? 10)

export const app = {
  client_id: 'app',
  token_endpoint_auth_method: 'none',
  application_type: 'native',
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  redirect_uris: ['http://127.0.0.1/callback'],
}

export type Done = Extract<Report, { says: 'done' }>
export interface Caller {
  readonly child: ChildProcess
  /** Called when a renewal begins there. */
  onRenewing: () => void
  run(task: Task): Promise<Done>
  kill(): Promise<void>
}
export const startCaller = async (database: string): Promise<Caller> => {
  const child = fork(fileURLToPath(new URL('refresh-child.ts', import.meta.url)), [database], { stdio: 'inherit' })
  let onDone: (done: Done) => void = () => {}
  const caller: Caller = {
    child,
    onRenewing: () => {},
    run: (task) => {
      const done = new Promise<Done>((resolve) => (onDone = resolve))
      child.send(task)
      return done
    },
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exit = once(child, 'exit')
      child.kill('SIGKILL')
      await exit
    },
  }
  const ready = new Promise<void>((resolve, reject) => {
    child.once('exit', () => reject(new Error('a caller ended before it was ready')))
    child.on('message', (report: Report) => {
      if (report.says === 'ready') resolve()
      else if (report.says === 'renewing') caller.onRenewing()
      else onDone(report)
    })
  })
  onTestFinished(() => caller.kill())
  await ready
  return caller
}

/** A store that several processes share, in a folder of its own. */
export const openState = async (): Promise<{ database: string; shared: Shared; last: { key: string } }> => {
  const folder = await mkdtemp(path.join(tmpdir(), 'ecokit-refresh-'))
  const database = path.join(folder, 'state.db')
  const store = await openStore(database)
  onTestFinished(async () => {
    await store.close()
    await rm(folder, { recursive: true, force: true })
  })
  const shared = openShared(store)
  const last = { key: '' }
  const put: Shared['put'] = (key, value, options) => {
    last.key = key
    return shared.put(key, value, options)
  }
  return { database, shared: { ...shared, put }, last }
}
export const logIn = async (partner: string, url: string, shared: Shared): Promise<void> => {
  const context = { ...contextOf({ issuer: url }, { tokens: shared }), partner }
  await refreshScheme(0)
    .open({ clientId: 'app' }, context)
    .login?.({
      show: async (step) => {
        await browse(step.url)
      },
    })
}
