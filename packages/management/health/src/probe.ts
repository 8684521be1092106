import { integrationError, isIntegrationError, toIntegrationError } from '@ecokit/contracts'
import type { AnyConnection, Health } from '@ecokit/contracts'
import { within } from './waiting.ts'

/** Time as an argument, so that tests decide when it passes. The same shape as the network's clock. */
export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /** Ends early, by a rejection, when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** One partner's connection, opened at the first check and kept. */
export interface Probe {
  /** Checks once; never longer than the timeout, whatever the connector does. Throws `cancelled` only. */
  check(timeoutMs: number, signal: AbortSignal): Promise<Health>
  /** Closes the connection; the next check opens another, and one that is running goes on with it. */
  renew(): void
  close(): Promise<void>
}

const failed = (error: unknown, partner: string, clock: Clock, startedAt: number): Health => {
  const { code, message } = toIntegrationError(error, partner)
  const now = clock.now()
  return { status: 'unhealthy', code, message, latencyMs: now - startedAt, checkedAt: new Date(now).toISOString() }
}

/** A connector whose `close` never ends must not hold up the monitor's. */
const closeWithinMs = 5000

/** Keeps one connection for the checks of one partner. */
export const openProbe = (partner: string, connect: () => Promise<AnyConnection>, clock: Clock): Probe => {
  let connection: Promise<AnyConnection> | undefined
  let ended = false
  const cancelled = () => integrationError('cancelled', { partner, what: 'the check was cancelled', details: {} })

  const drop = async (): Promise<void> => {
    const held = connection
    connection = undefined
    if (held === undefined) return
    const done = new AbortController()
    const closing = held.then((open) => open.close()).catch(() => undefined)
    await Promise.race([closing, clock.sleep(closeWithinMs, done.signal).catch(() => undefined)])
    done.abort()
  }
  const attempt = async (signal: AbortSignal, again: boolean): Promise<Health> => {
    const stopped = (): boolean => ended || signal.aborted
    if (stopped()) throw cancelled()
    const opening = (connection ??= connect())
    // A connection that could not be made is tried anew at the next check.
    opening.catch(() => {
      if (connection === opening) connection = undefined
    })
    const open = await opening
    try {
      return await open.check({ signal })
    } catch (error) {
      if (again || stopped() || !isIntegrationError(error, 'cancelled')) throw error
      // The connection was closed under the check, as happens when the partner's config changes.
      if (connection === opening) void drop()
      return attempt(signal, true)
    }
  }

  return {
    check: async (timeoutMs, signal) => {
      const startedAt = clock.now()
      const deadline = new AbortController()
      const done = new AbortController()
      const either = AbortSignal.any([signal, deadline.signal])
      const late = (): void =>
        deadline.abort(
          integrationError('timeout', {
            partner,
            what: `no answer to the check within ${timeoutMs} ms`,
            next: 'See whether it is overloaded, or allow more with check.timeout',
            details: { timeoutMs },
          }),
        )
      clock.sleep(timeoutMs, done.signal).then(late, () => undefined)
      try {
        const health = await within(attempt(either, false), either)
        return { ...health, checkedAt: new Date(clock.now()).toISOString() }
      } catch (error) {
        if (signal.aborted || ended) throw cancelled()
        return failed(deadline.signal.aborted ? deadline.signal.reason : error, partner, clock, startedAt)
      } finally {
        done.abort()
      }
    },
    renew: () => void drop(),
    close: () => {
      ended = true
      return drop()
    },
  }
}
