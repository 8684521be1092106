import { setTimeout as wait } from 'node:timers/promises'
import type { Clock } from './types.ts'

/** The machine's own time. */
export const systemClock: Clock = {
  now: Date.now,
  sleep: (ms, signal) => wait(ms, undefined, signal === undefined ? {} : { signal }),
}
