import type { Rate, Shared } from '@ecokit/contracts'

interface Kept {
  readonly value: string
  readonly version: number
  readonly expiresAt: number
}

/**
 * One step of a token bucket as a "theoretical arrival time" (GCRA): the time at which the bucket would be full again.
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
  const waitMs = Math.max(0, Math.ceil(next - now - each * Math.max(1, burst)))
  return waitMs > maxWaitMs ? undefined : { fullAt: next, waitMs }
}

/** `Shared` for one process: nothing outlives it. */
export const memoryShared = (now: () => number = Date.now): Shared => {
  const values = new Map<string, Kept>()
  const leases = new Map<string, { readonly holder: string; readonly expiresAt: number }>()
  const buckets = new Map<string, { fullAt: number; heldUntil: number }>()
  const read = (key: string): Kept | undefined => {
    const kept = values.get(key)
    if (kept === undefined || kept.expiresAt > now()) return kept
    values.delete(key)
    return undefined
  }
  const bucketOf = (key: string) => {
    const bucket = buckets.get(key) ?? { fullAt: 0, heldUntil: 0 }
    buckets.set(key, bucket)
    return bucket
  }
  return {
    get: (key) => Promise.resolve(read(key)),
    put: (key, value, { expected, expiresAt = Infinity } = {}) => {
      const version = read(key)?.version ?? 0
      if (expected !== undefined && expected !== version) return Promise.resolve(false)
      values.set(key, { value, version: version + 1, expiresAt })
      return Promise.resolve(true)
    },
    delete: (key) => {
      values.delete(key)
      return Promise.resolve()
    },
    lease: (key, holder, ttlMs) => {
      const taken = leases.get(key)
      const free = taken === undefined || taken.holder === holder || taken.expiresAt <= now()
      if (free) leases.set(key, { holder, expiresAt: now() + ttlMs })
      return Promise.resolve(free)
    },
    release: (key, holder) => {
      if (leases.get(key)?.holder === holder) leases.delete(key)
      return Promise.resolve()
    },
    reserve: (key, rate, count, maxWaitMs) => {
      const bucket = bucketOf(key)
      const at = now()
      const start = Math.max(at, bucket.heldUntil)
      const booked = reserveTurns(bucket.fullAt, start, rate, count, maxWaitMs - (start - at))
      if (booked === undefined) return Promise.resolve(undefined)
      bucket.fullAt = booked.fullAt
      return Promise.resolve(booked.waitMs + (start - at))
    },
    hold: (key, until) => {
      const bucket = bucketOf(key)
      bucket.heldUntil = Math.max(bucket.heldUntil, until)
      return Promise.resolve()
    },
  }
}
