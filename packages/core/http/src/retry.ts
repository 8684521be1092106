import type { Clock } from './types.ts'

/** The longest time that a partner may ask us to wait within a call. */
export const longestRetryAfterMs = 60_000

/** Reads `Retry-After`, seconds or a date (RFC 9110, 10.2.3), as milliseconds from now; undefined where it says neither. */
export const readRetryAfter = (value: string | undefined, clock: Clock): number | undefined => {
  const text = value?.trim() ?? ''
  if (/^\d+(?:\.\d+)?$/.test(text)) return Math.ceil(Number(text) * 1000)
  const date = /^[A-Za-z]{3,9},? /.test(text) ? Date.parse(text) : NaN
  return Number.isNaN(date) ? undefined : Math.max(0, date - clock.now())
}

/** The wait before the next attempt: what the partner asks for, else exponential backoff with full jitter. */
export const waitBefore = (
  attempt: number,
  retryAfterMs: number | undefined,
  random: () => number,
  baseMs: number,
  maxMs: number,
): number => {
  if (retryAfterMs !== undefined && retryAfterMs > 0) return retryAfterMs
  return Math.floor(random() * Math.min(maxMs, baseMs * 2 ** (attempt - 1)))
}
