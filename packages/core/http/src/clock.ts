import { setTimeout as wait } from 'node:timers/promises'
import type { Clock } from './types.ts'

/** The machine's own time. */
export const systemClock: Clock = {
  now: Date.now,
  sleep: (ms, signal) => wait(ms, undefined, signal === undefined ? {} : { signal }),
}

/** What a timer of the machine can wait for at most. */
const longestMs = 2 ** 31 - 1

/** Does the work after that time by this clock; the function that comes back calls it off. */
export const later = (clock: Clock, ms: number, work: () => void): (() => void) => {
  const wait = Math.min(ms, longestMs)
  if (clock.after !== undefined) return clock.after(wait, work)
  const off = new AbortController()
  clock.sleep(wait, off.signal).then(work, () => undefined)
  return () => off.abort()
}
