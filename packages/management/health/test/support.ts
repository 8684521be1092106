import { connectUnknown } from '@ecokit/connect'
import { defineConnector, integrationError } from '@ecokit/contracts'
import type { AnyConnection, Checked, ErrorCode, Health } from '@ecokit/contracts'
import { z } from 'zod'
import type { Clock } from '../src/index.ts'

/** Time that stands still until `advance`; everything that wakes up is given the time to finish before the next does. */
export const fakeClock = (): Clock & {
  advance(ms: number): Promise<void>
  settle(): Promise<void>
  setBack(ms: number): void
} => {
  let time = Date.parse('2026-01-01T00:00:00Z')
  let sleepers: { readonly at: number; readonly wake: () => void }[] = []
  const settle = async (): Promise<void> => {
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
  }
  return {
    now: () => time,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted === true) reject(signal.reason)
        const sleeper = { at: time + ms, wake: resolve }
        sleepers.push(sleeper)
        signal?.addEventListener('abort', () => {
          sleepers = sleepers.filter((other) => other.wake !== resolve)
          reject(signal.reason)
        })
      }),
    settle,
    // Timers run by their own time, whatever the clock is set to.
    setBack: (ms) => {
      time -= ms
      sleepers = sleepers.map(({ at, wake }) => ({ at: at - ms, wake }))
    },
    advance: async (ms) => {
      const until = time + ms
      await settle()
      for (;;) {
        const next = sleepers.filter(({ at }) => at <= until).sort((left, right) => left.at - right.at)[0]
        if (next === undefined) break
        time = Math.max(time, next.at)
        sleepers = sleepers.filter((other) => other !== next)
        next.wake()
        await settle()
      }
      time = until
    },
  }
}

/** A platform whose checks the test decides; it counts what is done to it. */
export const platform = (name: string) => {
  const seen = { checks: 0, opened: 0, closed: 0, at: [] as number[] }
  let answer: (signal: AbortSignal | undefined) => Promise<Checked> = () => Promise.resolve({ version: '1' })
  const connector = defineConnector(
    { id: 'platform', title: 'Platform', config: z.strictObject({}), hosts: [] },
    () => ({
      check: ({ signal }) => {
        seen.checks += 1
        return answer(signal)
      },
      close: () => {
        seen.closed += 1
        return Promise.resolve()
      },
    }),
  )
  return {
    name,
    seen,
    connect: (): Promise<AnyConnection> => {
      seen.opened += 1
      return Promise.resolve(connectUnknown(connector, { name, config: {} }, { checkTimeoutMs: 3_600_000 }))
    },
    answers: (next: typeof answer): void => {
      answer = next
    },
    works: (): void => {
      answer = () => Promise.resolve({ version: '1' })
    },
    fails: (code: ErrorCode): void => {
      answer = () => Promise.reject(integrationError(code, { partner: name, what: `answers ${code}`, details: {} }))
    },
    hangs: (): void => {
      answer = () => new Promise(() => undefined)
    },
  }
}
export type Platform = ReturnType<typeof platform>

export const health = (status: Health['status'], code?: ErrorCode): Health => ({
  status,
  ...(code === undefined ? {} : { code }),
  checkedAt: '2026-01-01T00:00:00.000Z',
})
