import { setTimeout as sleep } from 'node:timers/promises'
import { toIntegrationError } from '@ecokit/contracts'
import type { ErrorCode, IntegrationError } from '@ecokit/contracts'
import type { Trigger } from '@ecokit/flow'
import type { Access, EcosystemRuntime } from './ecosystem.ts'

/** Runs pipelines behind the server: when asked, and those with an interval by themselves. */
export interface Runner {
  /** Resolves when the run has its place in the store; throws what kept it from beginning. */
  start(
    pipeline: string,
    about: { readonly full: boolean; readonly trigger: Trigger; readonly by?: Access },
  ): Promise<{ readonly id: string }>
  /** Why the last attempt of a pipeline did not even begin; undefined where it did. */
  problem(pipeline: string): { readonly code: ErrorCode; readonly message: string } | undefined
  /** Starts the pipelines that have an interval: at once, and then at the interval. */
  startSchedules(): void
  /** Cancels what runs, and waits for it. */
  close(): Promise<void>
}

/** Opens the runner; nothing runs yet. `onError` is told of scheduled runs that could not begin. */
export const openRunner = (runtime: EcosystemRuntime, onError: (error: IntegrationError) => void): Runner => {
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
  const run = async (
    name: string,
    { full, trigger, by }: { readonly full: boolean; readonly trigger: Trigger; readonly by?: Access | undefined },
    onStart: (run: { id: string }) => void,
  ) => {
    const attempt = { begun: false }
    try {
      return await runtime.sync(name, {
        full,
        trigger,
        by,
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
  const repeat = async (name: string, everyMs: number): Promise<void> => {
    let said: string | undefined
    while (!closing.signal.aborted) {
      const startedAt = performance.now()
      let held = false
      try {
        await run(name, { full: false, trigger: 'schedule' }, () => undefined)
        said = undefined
      } catch (thrown) {
        const error = toIntegrationError(thrown, name)
        held = error.code === 'conflict'
        // Said once and not at every interval; that another process runs it already is no news at all.
        if (error.code !== 'cancelled' && error.code !== 'conflict' && error.message !== said) {
          said = error.message
          onError(error)
        }
      }
      const left = everyMs - (performance.now() - startedAt)
      // Held by another process, or by a lease that one left behind: looked at again before a long interval is over.
      const wait = held ? Math.min(left, 30_000) : left
      await sleep(Math.max(0, wait), undefined, { signal: closing.signal }).catch(() => undefined)
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
    startSchedules: () => {
      for (const { name, everyMs } of runtime.ecosystem.pipelines)
        if (everyMs !== undefined) void keep(repeat(name, everyMs))
    },
    close: async () => {
      closing.abort()
      await Promise.all(running)
    },
  }
}
