import fc from 'fast-check'
import { expect, test } from 'vitest'
import { readRetryAfter } from '../src/limits.ts'
import { waitBefore } from '../src/retry.ts'
import { fakeClock } from './support.ts'

const clock = fakeClock(Date.UTC(2026, 0, 1))
test.for([
  ['120', 120_000],
  [' 0 ', 0],
  ['1.5', 1500],
  ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
  ['Thursday, 01-Jan-26 00:00:05 GMT', 5000],
  ['Wed, 31 Dec 2025 23:00:00 GMT', 0],
  ['', undefined],
  ['soon', undefined],
  ['-5', undefined],
  ['2026', 2_026_000],
  [String(Date.UTC(2026, 0, 1, 0, 1) / 1000), 60_000],
  ['Thu, 99 Jan 2026', undefined],
  [undefined, undefined],
] as const)('Retry-After %s', ([value, ms]) => {
  expect(readRetryAfter(value, clock.now())).toBe(ms)
})
test('the wait is what the partner asks for, else anything up to the doubled base', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      (attempt, random) => {
        const wait = waitBefore(attempt, undefined, () => random, 200, 10_000)
        expect(wait).toBeGreaterThanOrEqual(0)
        expect(wait).toBeLessThanOrEqual(Math.min(10_000, 200 * 2 ** (attempt - 1)))
        expect(waitBefore(attempt, 7000, () => random, 200, 10_000)).toBe(7000)
      },
    ),
  )
  expect(waitBefore(3, 0, () => 0.5, 200, 10_000)).toBe(400)
})
