import type { CircuitState } from '@ecokit/contracts'
import type { Settings } from './policy.ts'
import { openWindow } from './window.ts'

/** What a request says about the partner's health: it answered, it failed, or nothing can be told (the caller left). */
export type Verdict = 'answered' | 'failed' | 'unknown'

export interface Breaker {
  readonly state: () => CircuitState
  /** When it lets a probe through; undefined while it is closed. */
  readonly openUntil: () => number | undefined
  /** How long a request must wait: 0 when it may go. */
  readonly waitMs: (now: number) => number
  /** Lets one request go that `waitMs` gave 0 for; the number goes back with its verdict. */
  readonly admit: () => number
  readonly settle: (admitted: number, verdict: Verdict, now: number) => void
  readonly change: (settings: Settings) => void
  /** Requests and failures of the window. */
  readonly counts: (now: number) => { readonly requests: number; readonly failed: number }
}

/** So many times `breakForMs` is the longest that it stays open. */
const mostTimes = 10

/**
 * Closed: counts. Open: nothing goes until `breakForMs` is over. Half open: one probe at a time; the first that is answered closes it, one that fails opens
 * it again for twice as long. Verdicts of requests that were let go in an earlier state are not counted.
 */
export const openBreaker = (first: Settings, changed: () => void): Breaker => {
  let settings = first
  let window = openWindow(settings.breakWindowMs)
  let state: CircuitState = 'closed'
  let openUntil = 0
  let forMs = settings.breakForMs
  let probing = false
  // One number for each period between two changes of state: a late verdict is recognised by it.
  let period = 1

  const enter = (next: CircuitState): void => {
    state = next
    period++
    probing = false
    changed()
  }
  const open = (now: number): void => {
    openUntil = now + forMs
    enter('open')
  }
  const close = (): void => {
    window.clear()
    forMs = settings.breakForMs
    enter('closed')
  }
  return {
    state: () => state,
    openUntil: () => (state === 'closed' ? undefined : openUntil),
    waitMs: (now) => {
      if (state === 'closed') return 0
      if (state === 'open') {
        // Also where the clock was put back.
        openUntil = Math.min(openUntil, now + forMs)
        if (now < openUntil) return openUntil - now
        enter('half_open')
      }
      return probing ? Math.max(1, Math.min(1000, forMs)) : 0
    },
    admit: () => {
      if (state === 'half_open') probing = true
      return period
    },
    settle: (admitted, verdict, now) => {
      if (admitted !== period) return
      if (state === 'half_open') {
        if (verdict === 'answered') close()
        else if (verdict === 'failed') {
          forMs = Math.min(forMs * 2, settings.breakForMs * mostTimes)
          open(now)
        } else probing = false
        return
      }
      if (verdict === 'unknown') return
      window.add(now, 1, verdict === 'failed' ? 1 : 0)
      if (verdict === 'failed') {
        const all = window.all(now)
        if (all >= settings.breakAfter && window.marked(now) >= settings.breakAt * all) open(now)
      }
    },
    change: (next) => {
      if (next.breakWindowMs !== settings.breakWindowMs) window = openWindow(next.breakWindowMs)
      const never = next.breakAt > 1
      if (state === 'closed') forMs = next.breakForMs
      settings = next
      if (never && state !== 'closed') close()
    },
    counts: (now) => ({ requests: window.all(now), failed: window.marked(now) }),
  }
}
