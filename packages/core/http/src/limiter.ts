import { reserveTurns, type Rate, type Shared } from '@ecokit/contracts'

/** Gives turns, at most so many in a time, and none before the time that the partner asked for. */
export interface Limiter {
  /** Takes a turn and gives 0; or gives the milliseconds after which to ask again, or a promise after which to ask again. Never more than one promise at a time. */
  readonly take: (now: number) => number | Promise<void>
  /** No turn before that time. */
  readonly hold: (until: number) => void
  readonly heldUntil: () => number
}

const sameRate = (one: Rate | undefined, other: Rate | undefined): boolean =>
  one?.perSecond === other?.perSecond && one?.burst === other?.burst

/** A bucket in this process alone. */
export const openBucket = (rate: () => Rate | undefined): Limiter => {
  let fullAt = 0
  let heldUntil = 0
  let seenAt = 0
  let filledFor: Rate | undefined
  return {
    take: (now) => {
      if (now < seenAt) {
        // The clock was put back: what was still to wait is still to wait, and not longer.
        fullAt -= seenAt - now
        heldUntil -= seenAt - now
      }
      seenAt = now
      if (now < heldUntil) return heldUntil - now
      const pace = rate()
      if (!sameRate(filledFor, pace)) {
        // What was booked at another rate says nothing about this one.
        fullAt = 0
        filledFor = pace
      }
      if (pace === undefined) return 0
      const booked = reserveTurns(fullAt, now, pace, 1, 0)
      if (booked !== undefined) {
        fullAt = booked.fullAt
        return 0
      }
      return (reserveTurns(fullAt, now, pace, 1, Infinity)?.waitMs ?? 0) || 1
    },
    hold: (until) => {
      heldUntil = Math.max(heldUntil, until)
    },
    heldUntil: () => heldUntil,
  }
}

/** How often a process without a rate looks whether another one was asked to wait. */
const lookMs = 1000
const dayMs = 86_400_000
/** Without a rate the bucket is only asked for its hold. */
const unlimited: Rate = { perSecond: 1e6, burst: 1e6 }

/**
 * How turns are fetched for this rate: at most `most` at once, which stay good for `keptMs` after they were due. By that they may come late by twice that time, and by as long as the
 * bucket took to answer, so as many as fall due in it are taken off the burst: all processes together never have more than rate and burst allow.
 */
const chunks = (rate: Rate, lagMs: number) => {
  const keptMs = Math.max(20, Math.min(50, (250 * rate.burst) / rate.perSecond))
  const late = Math.ceil((rate.perSecond * (keptMs * 2 + lagMs)) / 1000)
  return {
    keptMs,
    most: Math.max(1, Math.floor((rate.perSecond * keptMs) / 1000)),
    rate: { perSecond: rate.perSecond, burst: Math.max(1, rate.burst - late) },
  }
}

/** A bucket that several processes share. Turns are fetched in chunks, which grow while they are used up in time and begin at one again after a pause. */
export const openSharedBucket = (
  key: string,
  shared: Shared,
  rate: () => Rate | undefined,
  now: () => number,
): Limiter => {
  // A bucket for each rate: what was booked at another one says nothing about this one.
  const bucketOf = (pace: Rate | undefined) => (pace === undefined ? key : `${key}/${pace.perSecond}/${pace.burst}`)
  // Where the shared one does not answer, calls go on at this process's own pace.
  const own = openBucket(rate)
  let left = 0
  let nextDue = 0
  let each = 0
  let goodUntil = 0
  let wanted = 1
  let asking: Promise<void> | undefined
  let heldUntil = 0
  let failing = false
  let fetchedFor: Rate | undefined
  let seenAt = 0
  let lagMs = 0

  const fetchTurns = async (pace: Rate | undefined): Promise<void> => {
    const chunk = pace === undefined ? { keptMs: lookMs, most: 1, rate: unlimited } : chunks(pace, lagMs)
    wanted = Math.min(chunk.most, left === 0 && now() < goodUntil ? wanted * 2 : 1)
    const count = wanted
    const asked = now()
    try {
      const waitMs = (await shared.reserve(bucketOf(pace), chunk.rate, count, dayMs)) ?? dayMs
      // Counted from the answer: a turn of a bucket that is slow to answer would else be too old each time.
      const last = now() + waitMs
      lagMs = Math.max(0, now() - asked)
      failing = false
      fetchedFor = pace
      each = 1000 / chunk.rate.perSecond
      left = pace === undefined ? Infinity : count
      nextDue = last - (count - 1) * each
      goodUntil = last + chunk.keptMs
    } catch {
      failing = true
      goodUntil = now() + lookMs
    } finally {
      asking = undefined
    }
  }
  return {
    take: (at) => {
      if (at < seenAt) {
        heldUntil -= seenAt - at
        goodUntil = 0
      }
      seenAt = at
      if (at < heldUntil) return heldUntil - at
      if (asking !== undefined) return asking
      const pace = rate()
      if (at < goodUntil && (failing || fetchedFor === pace)) {
        if (failing) return own.take(at)
        if (left > 0) {
          if (at < nextDue) return Math.max(1, Math.ceil(nextDue - at))
          left--
          nextDue += left === Infinity ? 0 : each
          return 0
        }
      }
      return (asking = fetchTurns(pace))
    },
    hold: (until) => {
      heldUntil = Math.max(heldUntil, until)
      own.hold(until)
      // Those without a rate look at the first, those of our rate at the second.
      for (const bucket of new Set([key, bucketOf(rate())])) void shared.hold(bucket, until).catch(() => undefined)
    },
    heldUntil: () => heldUntil,
  }
}
