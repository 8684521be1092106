import type { CallOptions, IntegrationError } from '@ecokit/contracts'
import { shown } from './address.ts'
import { attemptOnce, type Read } from './attempt.ts'
import { transportFailure, type Failure } from './failure.ts'
import { longestRetryAfterMs, waitBefore } from './retry.ts'
import type { Call, Wire } from './wire.ts'

const mayRepeat = (wire: Wire, call: Call, attempt: number, failure: Failure): boolean =>
  attempt < wire.attempts &&
  !(call.body instanceof ReadableStream) &&
  (failure.retryAfterMs ?? 0) <= longestRetryAfterMs &&
  (failure.again === 'safe' ? call.repeat !== 'never' : failure.again === 'reads' && call.repeat === 'read')

/** Asks the authorizer for a new credential after a 401. */
const renew = async (
  wire: Wire,
  call: Call,
  attempt: number,
  options: CallOptions | undefined,
): Promise<boolean | IntegrationError> => {
  try {
    return (await call.authorizer?.refused?.(options)) ?? false
  } catch (error) {
    const { partner, redact } = wire
    const about = { partner, method: call.method, origin: call.origin, path: shown(call.path), attempt, redact }
    return transportFailure(about, error, call.timeoutMs).error
  }
}

/** Sends a call, again where that is safe, and reads its reply; throws IntegrationErrors only. */
export const perform = async <T>(
  wire: Wire,
  call: Call,
  options: CallOptions | undefined,
  read: Read<T>,
): Promise<T> => {
  const signal = options?.signal
  let renewed = false
  for (let attempt = 1; ; attempt++) {
    const outcome = await attemptOnce(wire, call, attempt, options, read)
    if ('value' in outcome) return outcome.value
    const { failure } = outcome
    if (failure.status === 401 && !renewed && !(call.body instanceof ReadableStream)) {
      renewed = true
      const renewal = await renew(wire, call, attempt, options)
      if (renewal === true) continue
      if (renewal !== false) throw renewal
    }
    if (!mayRepeat(wire, call, attempt, failure)) {
      if (call.body instanceof ReadableStream && !call.body.locked) await call.body.cancel().catch(() => {})
      throw failure.error
    }
    const ms = waitBefore(attempt, failure.retryAfterMs, wire.random, wire.baseMs, wire.maxMs)
    const ended = signal === undefined ? wire.closing.signal : AbortSignal.any([wire.closing.signal, signal])
    try {
      await wire.clock.sleep(ms, ended)
    } catch (error) {
      // The next attempt says what it was that ended the wait.
      if (!ended.aborted) throw error
    }
  }
}
