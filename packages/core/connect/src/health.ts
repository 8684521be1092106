import { integrationError, isIntegrationError } from '@ecokit/contracts'
import type { CallOptions, Checked, CircuitState, ErrorCode, Health, PartState } from '@ecokit/contracts'
import type { Clock } from '@ecokit/http'
import { single } from './line.ts'
import type { Line } from './line.ts'

/** Ends with `signal` even where the connector does not listen to it: one partner that hangs must not hold up a health round. */
const within = <T>(work: Promise<T>, signal: AbortSignal): Promise<T> =>
  new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason)
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })

const partsState = (parts: Readonly<Record<string, PartState>>) => {
  const poor = Object.entries(parts).filter(([, state]) => state !== 'ok')
  if (poor.length === 0) return { status: 'healthy' as const }
  const code: ErrorCode = poor.some(([, state]) => state === 'denied') ? 'forbidden' : 'unavailable'
  return { status: 'degraded' as const, code, message: poor.map(([part, state]) => `${part} is ${state}`).join(', ') }
}

/** The connection's `check`: the session's own, with a deadline, told as Health. */
export const openCheck = (
  line: Line,
  about: {
    readonly timeoutMs: number
    readonly check: (options: CallOptions) => Promise<Checked>
    readonly clock: Clock
    /** Absent where nothing goes over the network. */
    readonly circuit?: () => CircuitState
    readonly oldTls: boolean
  },
): ((options?: CallOptions) => Promise<Health>) => {
  const { timeoutMs, check, clock, circuit, oldTls } = about
  const checked = single(line, { kind: 'check', name: 'check', effect: 'read' } as const, {
    accept: () => undefined,
    perform: async (_input, signal) => {
      const deadline = new AbortController()
      const late = () =>
        deadline.abort(
          integrationError('timeout', {
            partner: line.partner,
            what: `no answer to the check within ${timeoutMs} ms`,
            next: 'See whether the partner is overloaded or a firewall drops the connection',
            details: { timeoutMs },
          }),
        )
      const timer = setTimeout(late, timeoutMs)
      try {
        const either = AbortSignal.any([signal, deadline.signal])
        return await within(check({ signal: either }), either)
      } catch (thrown) {
        throw deadline.signal.aborted ? deadline.signal.reason : thrown
      } finally {
        clearTimeout(timer)
      }
    },
    verify: (seen) => seen,
  })
  return async (options) => {
    const started = performance.now()
    const took = () => ({
      latencyMs: Math.round((performance.now() - started) * 100) / 100,
      checkedAt: new Date(clock.now()).toISOString(),
      ...(circuit !== undefined && { circuit: circuit() }),
      ...(oldTls && { oldTls }),
    })
    try {
      const { account, version, parts } = await checked(undefined, options)
      return {
        ...(parts === undefined ? { status: 'healthy' } : partsState(parts)),
        ...took(),
        ...(account !== undefined && { account }),
        ...(version !== undefined && { version }),
        ...(parts !== undefined && { parts }),
      }
    } catch (thrown) {
      if (!isIntegrationError(thrown)) throw thrown
      if (thrown.code === 'cancelled' && (options?.signal?.aborted === true || line.closed.aborted)) throw thrown
      return { status: 'unhealthy', code: thrown.code, message: thrown.message, ...took() }
    }
  }
}
