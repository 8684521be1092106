/** What several processes share about partners: small values that expire, leases and rate budgets. Keys are never secret; values of `tokens` are sealed by whoever keeps them. */
export interface Shared {
  /** Undefined where there is none or it has expired; `version` counts the writes of this key from 1. */
  get(key: string): Promise<{ readonly value: string; readonly version: number } | undefined>
  /** With `expected`, writes only over that version (0: where there is none) and says whether it did. `expiresAt` in epoch milliseconds. */
  put(
    key: string,
    value: string,
    options?: { readonly expected?: number; readonly expiresAt?: number },
  ): Promise<boolean>
  delete(key: string): Promise<void>
  /** True when `holder` has the lease now; it runs out after `ttlMs`, so the crash of its holder frees it. */
  lease(key: string, holder: string, ttlMs: number): Promise<boolean>
  release(key: string, holder: string): Promise<void>
  /** Books `count` turns of a token bucket and says after how many milliseconds the last one may go; books nothing and says undefined where that is more than `maxWaitMs`. */
  reserve(key: string, rate: Rate, count: number, maxWaitMs: number): Promise<number | undefined>
  /** No turn of this bucket before that time (epoch milliseconds): the partner asked for it. */
  hold(key: string, until: number): Promise<void>
}
/** A token bucket: `perSecond` turns a second on average, `burst` at once after a pause. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** How calls to one partner are paced and protected; what is absent has the default of @ecokit/http. Times are milliseconds. */
export interface Policy {
  /** Requests; absent: no limit of ours, only what the partner asks for in its replies. */
  readonly rate?: Rate
  /** Requests under way at once. Default 64. */
  readonly concurrency?: number
  /** Calls that wait for their turn at once; one more fails with `overloaded`. Default 1,000. */
  readonly queue?: number
  /** How often a call is sent at most, the first time included. Default 4. */
  readonly attempts?: number
  /** The wait before the second attempt is a random part of this, and doubles from then on. Default 200. */
  readonly backoffMs?: number
  /** Upper bound of a wait that we choose ourselves. Default 10,000. */
  readonly maxBackoffMs?: number
  /** Repeats as a share of calls, over the last minute; ten are always allowed. Default 0.2. */
  readonly retryBudget?: number
  /** The circuit opens when this share of at least `breakAfter` requests of the last `breakWindowMs` failed. Default 0.5; above 1 it never opens. */
  readonly breakAt?: number
  /** Default 20. */
  readonly breakAfter?: number
  /** Default 30,000. */
  readonly breakWindowMs?: number
  /** How long an open circuit refuses calls before it lets a probe through; doubles with each failed probe up to ten times this. Default 15,000. */
  readonly breakForMs?: number
  /** Default 10,000. */
  readonly connectTimeoutMs?: number
  /** For a whole call with its waits and repeats. Default 120,000. */
  readonly deadlineMs?: number
}
/** `open` refuses calls with `circuit_open`; `half_open` lets probes through. */
export type CircuitState = 'closed' | 'open' | 'half_open'

/**
 * One step of a token bucket as a "theoretical arrival time" (GCRA): the time at which the bucket would be full again. Every form of `Shared` counts with it.
 * Gives the new time and the wait, or undefined where the wait is longer than allowed.
 */
export const reserveTurns = (
  fullAt: number,
  now: number,
  { perSecond, burst }: Rate,
  count: number,
  maxWaitMs: number,
): { readonly fullAt: number; readonly waitMs: number } | undefined => {
  const each = 1000 / perSecond
  const next = Math.max(fullAt, now) + each * count
  // A microsecond less than it says: by what epoch milliseconds are rounded to, a full bucket would have to wait.
  const waitMs = Math.max(0, Math.ceil(next - now - each * Math.max(1, burst) - 1e-3))
  return waitMs > maxWaitMs ? undefined : { fullAt: next, waitMs }
}
