import { reserveTurns, type Shared } from '@ecokit/contracts'

export { reserveTurns }

interface Kept {
  readonly value: string
  readonly version: number
  readonly expiresAt: number
}

/** `Shared` for one process: nothing outlives it. */
export const memoryShared = (now: () => number = Date.now): Shared => {
  const values = new Map<string, Kept>()
  const leases = new Map<string, { readonly holder: string; readonly expiresAt: number; readonly takenAt: number }>()
  const buckets = new Map<string, { fullAt: number; heldUntil: number; seenAt: number }>()
  const read = (key: string): Kept | undefined => {
    const kept = values.get(key)
    if (kept === undefined || kept.expiresAt > now()) return kept
    values.delete(key)
    return undefined
  }
  /** Where the clock was put back, the bucket is put back as far: what was still to wait is still to wait, and not longer. */
  const bucketOf = (key: string, at: number) => {
    const bucket = buckets.get(key) ?? { fullAt: 0, heldUntil: 0, seenAt: at }
    buckets.set(key, bucket)
    const back = Math.max(0, bucket.seenAt - at)
    if (back > 0)
      Object.assign(bucket, { fullAt: bucket.fullAt - back, heldUntil: bucket.heldUntil - back, seenAt: at })
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
      const at = now()
      const found = leases.get(key)
      const back = Math.max(0, (found?.takenAt ?? at) - at)
      const taken = found && { ...found, expiresAt: found.expiresAt - back, takenAt: found.takenAt - back }
      const free = taken === undefined || taken.holder === holder || taken.expiresAt <= at
      leases.set(key, free ? { holder, expiresAt: at + ttlMs, takenAt: at } : taken)
      return Promise.resolve(free)
    },
    release: (key, holder) => {
      if (leases.get(key)?.holder === holder) leases.delete(key)
      return Promise.resolve()
    },
    reserve: (key, rate, count, maxWaitMs) => {
      const at = now()
      const bucket = bucketOf(key, at)
      const start = Math.max(at, bucket.heldUntil)
      const booked = reserveTurns(bucket.fullAt, start, rate, count, maxWaitMs - (start - at))
      if (booked === undefined) return Promise.resolve(undefined)
      Object.assign(bucket, { fullAt: booked.fullAt, seenAt: at })
      return Promise.resolve(booked.waitMs + (start - at))
    },
    hold: (key, until) => {
      const at = now()
      const bucket = bucketOf(key, at)
      if (until > bucket.heldUntil) Object.assign(bucket, { heldUntil: until, seenAt: at })
      return Promise.resolve()
    },
  }
}
