import { integrationError, type CircuitState, type IntegrationError, type Policy, type Shared } from '@ecokit/contracts'
import { openBreaker, type Verdict } from './breaker.ts'
import { later, systemClock } from './clock.ts'
import { openBucket, openSharedBucket } from './limiter.ts'
import { settle, type Settings } from './policy.ts'
import { waitBefore } from './retry.ts'
import type { Clock } from './types.ts'
import { openWindow } from './window.ts'

/** What a guard sees now; times are epoch milliseconds. */
export interface GuardState {
  readonly circuit: CircuitState
  /** When an open circuit lets a probe through. */
  readonly openUntil?: number
  /** The partner asked that nothing be sent before. */
  readonly heldUntil?: number
  /** Requests that were sent and are not over, bodies that are still read included. */
  readonly underWay: number
  /** Calls that wait for their turn. */
  readonly waiting: number
  /** Requests of the circuit's window, and how many of them failed. */
  readonly requests: number
  readonly failed: number
  /** Calls and repeats of the last minute. */
  readonly calls: number
  readonly repeats: number
}

/** What a call in the queue can be called off by. */
export interface Waiter {
  /** Undefined while the call goes on. */
  readonly why: () => unknown
  readonly onHalt: (work: () => void) => void
}

/** Paces and protects the calls of one partner in this process, over all its connections. */
export interface Guard {
  readonly partner: string
  /** From the next request on; what is absent has its default. Throws `invalid_config` and changes nothing where the policy makes no sense. */
  setPolicy(policy: Policy): void
  /** The policy in force, defaults filled in. */
  policy(): Settings
  state(): GuardState
  /** Counts a call, of which a share may be repeated. */
  begin(): void
  /** Takes a slot and a turn for one request: at once a number, or a promise of it where there is a wait. Throws or rejects with `overloaded`, `circuit_open` or `rate_limited`, where nothing was sent. */
  enter(waiter: Waiter, until: number): number | Promise<number>
  /** Takes a turn for one more request in the same slot, after a redirect. */
  again(waiter: Waiter, until: number): undefined | Promise<number>
  /** The partner answered or failed; frees no slot. */
  judge(admitted: number, verdict: Verdict): void
  /** Frees the slot; once for each `enter`. */
  leave(): void
  /** Nothing is sent by anybody for so long, but for no longer than a day. */
  hold(ms: number): void
  /** True, and counted, where another attempt is within the retry budget. */
  repeat(): boolean
  /** How long to wait before the attempt after this one. */
  backoff(attempt: number, retryAfterMs: number | undefined): number
}

interface Queued {
  readonly until: number
  /** Takes a slot too. */
  readonly slot: boolean
  readonly go: (admitted: number) => void
  readonly refuse: (error: IntegrationError) => void
}

/** A header that is wrong, or read wrongly, must not silence a partner for years. */
const longestHoldMs = 86_400_000
const budgetMs = 60_000
/** Repeats that are always allowed in a minute. */
const freeRepeats = 10
const seconds = (ms: number): string =>
  ms < 10_000 ? (Math.ceil(ms / 100) / 10).toString() : `${Math.ceil(ms / 1000)}`

/** Opens the guard of a partner. With `shared`, all processes that share it keep one pace; the rest is this process's own. Does no I/O. */
export const openGuard = (options: {
  readonly partner: string
  readonly policy?: Policy | undefined
  readonly shared?: Shared | undefined
  readonly clock?: Clock | undefined
  readonly random?: (() => number) | undefined
  /** Told when the circuit changes, when the partner asks to wait, and when the policy is set; what it throws is ignored. */
  readonly onChange?: ((state: GuardState) => void) | undefined
}): Guard => {
  const { partner, shared, clock = systemClock, random = Math.random, onChange } = options
  let settings = settle(partner, options.policy)
  const changed = (): void => {
    try {
      onChange?.(state())
    } catch {
      // Whoever watches must not disturb what is watched.
    }
  }
  const breaker = openBreaker(settings, changed)
  const rate = () => settings.rate
  const limiter = shared === undefined ? openBucket(rate) : openSharedBucket(`rate/${partner}`, shared, rate, clock.now)
  const budget = openWindow(budgetMs)
  const queue = new Set<Queued>()
  let redirects = 0
  let underWay = 0
  let callOff: (() => void) | undefined
  let asked: Promise<void> | undefined

  const refusal = {
    circuit: (retryAfterMs: number) => {
      const { requests, failed } = breaker.counts(clock.now())
      const why =
        breaker.state() === 'half_open'
          ? 'a first call is trying whether it is back'
          : `${failed} of its last ${requests} requests failed`
      return integrationError('circuit_open', {
        partner,
        what: `is not called for now, because ${why}; nothing was sent`,
        next: `Try again in ${seconds(retryAfterMs)} s`,
        details: { retryAfterMs },
      })
    },
    pace: (retryAfterMs: number) =>
      integrationError('rate_limited', {
        partner,
        what: 'has no turn for this call before its deadline; nothing was sent',
        next: `Try again in ${seconds(retryAfterMs)} s, or ask less often`,
        details: { retryAfterMs },
      }),
    crowd: () =>
      integrationError('overloaded', {
        partner,
        what: `${queue.size} calls wait for their turn already; nothing was sent`,
        next: 'Ask less at once, or raise "queue" in the policy',
        details: { queue: queue.size },
      }),
  }

  const wake = (turn: number | Promise<void>): void => {
    if (typeof turn === 'number') callOff ??= later(clock, turn, pump)
    else if (asked !== turn) {
      asked = turn
      void turn.then(() => {
        asked = undefined
        pump()
      })
    }
  }
  const remove = (each: Queued): void => {
    if (queue.delete(each) && !each.slot) redirects--
  }
  const refuse = (each: Queued, error: IntegrationError): void => {
    remove(each)
    each.refuse(error)
  }
  /** Lets go whoever may, in the order in which they came. */
  const pump = (): void => {
    callOff?.()
    callOff = undefined
    for (const first of queue) {
      const now = clock.now()
      if (first.slot) {
        const closedFor = breaker.waitMs(now)
        if (closedFor > 0) {
          for (const each of queue) if (each.slot) refuse(each, refusal.circuit(closedFor))
          continue
        }
        if (underWay >= settings.concurrency) {
          // Who has a slot already, and follows a redirect, must not wait behind those who need one.
          if (redirects > 0) continue
          return
        }
      }
      const turn = limiter.take(now)
      if (turn !== 0) {
        if (typeof turn === 'number')
          for (const each of queue) if (now + turn > each.until) refuse(each, refusal.pace(turn))
        if (queue.size > 0) wake(turn)
        return
      }
      remove(first)
      if (first.slot) underWay++
      first.go(first.slot ? breaker.admit() : 0)
    }
  }
  const join = (
    waiter: Waiter,
    until: number,
    slot: boolean,
    turn: number | Promise<void> | undefined,
  ): Promise<number> =>
    new Promise((resolve, reject) => {
      const queued: Queued = { until, slot, go: resolve, refuse: reject }
      queue.add(queued)
      if (!slot) redirects++
      waiter.onHalt(() => {
        remove(queued)
        if (queue.size === 0) {
          callOff?.()
          callOff = undefined
        }
        reject(new Error('stopped'))
      })
      if (turn !== undefined) wake(turn)
    })

  const state = (): GuardState => {
    const now = clock.now()
    const openUntil = breaker.openUntil()
    return {
      circuit: breaker.state(),
      ...(openUntil !== undefined && { openUntil }),
      ...(limiter.heldUntil() > now && { heldUntil: limiter.heldUntil() }),
      underWay,
      waiting: queue.size,
      ...breaker.counts(now),
      calls: budget.all(now),
      repeats: budget.marked(now),
    }
  }
  return {
    partner,
    state,
    policy: () => settings,
    setPolicy: (policy) => {
      settings = settle(partner, policy)
      breaker.change(settings)
      changed()
      pump()
    },
    begin: () => budget.add(clock.now(), 1, 0),
    enter: (waiter, until) => {
      const now = clock.now()
      const closedFor = breaker.waitMs(now)
      if (closedFor > 0) throw refusal.circuit(closedFor)
      let turn: number | Promise<void> | undefined
      if (queue.size === 0 && underWay < settings.concurrency) {
        turn = limiter.take(now)
        if (turn === 0) {
          underWay++
          return breaker.admit()
        }
      }
      const soonest = typeof turn === 'number' ? turn : limiter.heldUntil() - now
      if (soonest > 0 && now + soonest > until) throw refusal.pace(soonest)
      // Whoever only waits for the shared bucket to answer is no crowd.
      if (queue.size >= (turn instanceof Promise ? Math.max(1, settings.queue) : settings.queue)) throw refusal.crowd()
      return join(waiter, until, true, turn)
    },
    again: (waiter, until) => {
      const turn = queue.size === 0 ? limiter.take(clock.now()) : undefined
      if (turn === 0) return undefined
      const joined = join(waiter, until, false, turn)
      if (turn === undefined) pump()
      return joined
    },
    judge: (admitted, verdict) => {
      breaker.settle(admitted, verdict, clock.now())
      if (queue.size > 0) pump()
    },
    leave: () => {
      underWay--
      if (queue.size > 0) pump()
    },
    hold: (ms) => {
      if (!(ms > 0)) return
      const until = clock.now() + Math.min(ms, longestHoldMs)
      if (until <= limiter.heldUntil()) return
      limiter.hold(until)
      changed()
      if (queue.size > 0) pump()
    },
    repeat: () => {
      const now = clock.now()
      if (budget.marked(now) >= Math.max(freeRepeats, settings.retryBudget * budget.all(now))) return false
      budget.add(now, 0, 1)
      return true
    },
    backoff: (attempt, retryAfterMs) =>
      waitBefore(attempt, retryAfterMs, random, settings.backoffMs, settings.maxBackoffMs),
  }
}
