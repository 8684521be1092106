import { setTimeout as sleep } from 'node:timers/promises'
import { toIntegrationError } from '@ecokit/contracts'
import type { ErrorCode, IntegrationError } from '@ecokit/contracts'
import type { EcosystemRuntime, SyncRequest } from './ecosystem.ts'
import { openScheduler } from './scheduler.ts'

/** A run without those who follow it. */
export type Wanted = Omit<SyncRequest, 'signal' | 'onStart' | 'onProgress'>

/** Milliseconds between two looks at what is due. */
const tickMs = 500

/** Runs pipelines behind the server: when asked, and those with an interval or a schedule by themselves. */
export interface Runner {
  /** Resolves when the run has its place in the store; throws what kept it from beginning. */
  start(pipeline: string, request: Wanted): Promise<{ readonly id: string }>
  /** Why the last attempt of a pipeline did not even begin; undefined where it did. */
  problem(pipeline: string): { readonly code: ErrorCode; readonly message: string } | undefined
  /** Starts the pipelines that have an interval, at once and then at the interval, and those that have a schedule when their time comes. */
  startSchedules(): void
  /** Cancels what runs, and waits for it. */
  close(): Promise<void>
}

/** Opens the runner; nothing runs yet. `onError` is told of scheduled runs that could not begin. */
export const openRunner = (
  runtime: EcosystemRuntime,
  onError: (error: IntegrationError) => void,
  now: () => number = Date.now,
): Runner => {
  const closing = new AbortController()
  const running = new Set<Promise<unknown>>()
  const problems = new Map<string, { code: ErrorCode; message: string }>()

  const keep = <T>(work: Promise<T>): Promise<T> => {
    const settled: Promise<boolean> = work.then(
      () => running.delete(settled),
      () => running.delete(settled),
    )
    running.add(settled)
    return work
  }
  const run = async (name: string, wanted: Wanted, onStart: (run: { id: string }) => void) => {
    const attempt = { begun: false }
    try {
      return await runtime.sync(name, {
        ...wanted,
        signal: closing.signal,
        onStart: (started) => {
          attempt.begun = true
          problems.delete(name)
          onStart(started)
        },
      })
    } catch (thrown) {
      const { code, message } = toIntegrationError(thrown)
      if (!attempt.begun && code !== 'cancelled') problems.set(name, { code, message })
      throw thrown
    }
  }
  const scheduler = openScheduler({
    store: runtime.store,
    pipelines: runtime.ecosystem.pipelines,
    run: (name, begun) => keep(run(name, { trigger: 'schedule' }, () => begun())),
    onError,
    onSkipped: async (name, missed) => {
      const log = await runtime.safe.audit()
      const entry = { actor: 'schedule', reason: 'missed runs are skipped', action: 'pipeline.skip' }
      await log.append({ ...entry, target: `pipeline/${name}`, outcome: 'allowed', details: { missed } })
    },
    now,
  })
  /** The one timer of all schedules. */
  const loop = async (): Promise<void> => {
    while (!closing.signal.aborted) {
      // Not waited for: a store that is slow for one pipeline must not make the others late.
      void keep(scheduler.tick()).catch((thrown: unknown) => onError(toIntegrationError(thrown)))
      await sleep(tickMs, undefined, { signal: closing.signal }).catch(() => undefined)
    }
  }

  return {
    start: (name, about) =>
      new Promise((resolve, reject) => {
        let begun = false
        const work = run(name, about, (started) => {
          begun = true
          resolve(started)
        })
        keep(work).catch((thrown: unknown) => {
          if (begun) onError(toIntegrationError(thrown, name))
          else reject(thrown)
        })
      }),
    problem: (name) => problems.get(name),
    startSchedules: () => void keep(loop()),
    close: async () => {
      closing.abort()
      await Promise.all(running)
    },
  }
}
