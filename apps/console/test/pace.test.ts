import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { paced } from '../src/app/pace.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const record = (took: () => number = () => 0) => {
  const begun: number[] = []
  const start = Date.now()
  const work = async (): Promise<void> => {
    begun.push(Date.now() - start)
    await new Promise((resolve) => setTimeout(resolve, took()))
  }
  return { begun, pace: paced(work, 2_000, Date.now) }
}

test('work is done at once, then at most every two seconds, and what is asked for last is never left out', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(5_000), { minLength: 1, maxLength: 40 }), async (pauses) => {
      const { begun, pace } = record()
      const start = Date.now()
      let last = 0
      for (const pause of pauses) {
        await vi.advanceTimersByTimeAsync(pause)
        last = Date.now() - start
        pace.ask()
      }
      await vi.advanceTimersByTimeAsync(10_000)
      expect(begun[0]).toBe(pauses[0])
      expect(begun.slice(1).every((at, index) => at - (begun[index] ?? 0) >= 2_000)).toBe(true)
      expect(begun.at(-1)).toBeGreaterThanOrEqual(last)
      expect(begun.at(-1)).toBeLessThanOrEqual(last + 2_000)
      pace.stop()
    }),
  )
})

test('slow work is done less often, never beside itself, and at once where it cannot wait', async () => {
  const { begun, pace } = record(() => 1_000)
  for (let at = 0; at < 25; at += 1) {
    pace.ask()
    await vi.advanceTimersByTimeAsync(1_000)
  }
  expect(begun).toEqual([0, 10_000, 20_000])
  pace.ask(true)
  await vi.advanceTimersByTimeAsync(0)
  expect(begun.at(-1)).toBe(25_000)
  pace.ask(true)
  await vi.advanceTimersByTimeAsync(999)
  expect(begun).toHaveLength(4)
  await vi.advanceTimersByTimeAsync(2)
  // A timer of no time takes one millisecond.
  expect(begun.slice(4)).toEqual([26_001])
})

test('what was stopped begins nothing any more', async () => {
  const { begun, pace } = record()
  pace.ask()
  pace.stop()
  pace.ask(true)
  await vi.advanceTimersByTimeAsync(60_000)
  expect(begun).toEqual([])
})
