import type { CallOptions, IntegrationError } from '@ecokit/contracts'
import { shown } from './address.ts'
import { attemptOnce, failureOf, type Read, type Trial } from './attempt.ts'
import { later } from './clock.ts'
import type { Failure } from './failure.ts'
import { note } from './report.ts'
import { bounded, openStop, type Stop } from './stop.ts'
import type { Call, Wire } from './wire.ts'

const mayRepeat = (call: Call, failure: Failure): boolean =>
  !(call.body instanceof ReadableStream) &&
  (failure.again === 'safe' ? call.repeat !== 'never' : failure.again === 'reads' && call.repeat === 'read')

/** Whatever an authorizer or the host threw, or what ended the call while it waited for them, as an error of this call. */
const errorOf = (wire: Wire, call: Call, { attempt, stop, deadlineMs }: Trial, error: unknown): IntegrationError => {
  const { partner, redact } = wire
  const about = { partner, method: call.method, origin: call.origin, path: shown(call.path), attempt, redact }
  return failureOf(error, stop, about, call, deadlineMs).error
}

const inTime = <T>({ timer, clock }: Wire, { stop, deadline }: Trial, work: Promise<T>): Promise<T> =>
  bounded(timer, stop, deadline - clock.now(), work)

/** Asks the authorizer for a new credential after a 401: true when it has one, an error when it tried and failed. */
const renew = async (wire: Wire, call: Call, trial: Trial): Promise<boolean | IntegrationError> => {
  try {
    const renewal = call.authorizer?.refused?.(trial.options)
    return renewal === undefined ? false : await inTime(wire, trial, renewal)
  } catch (error) {
    return errorOf(wire, call, trial, error)
  }
}

/** The call with other credentials, where the host has some. */
const replaced = async (wire: Wire, call: Call, trial: Trial): Promise<Call | undefined> => {
  const before = call.authorizer
  if (before === undefined || wire.replace === undefined) return undefined
  try {
    const authorizer = await inTime(wire, trial, wire.replace(before, trial.options))
    if (authorizer === undefined) return undefined
    const certificate = call.certificate === before.certificate ? authorizer.certificate : call.certificate
    return { ...call, authorizer, certificate }
  } catch (error) {
    throw errorOf(wire, call, trial, error)
  }
}

/** Waits by the clock, or until the call is ended; the next attempt says what it was that ended it. */
const pause = (wire: Wire, ms: number, stop: Stop): Promise<void> =>
  new Promise((resolve) => {
    const off = later(wire.clock, ms, resolve)
    stop.onHalt(() => {
      off()
      resolve()
    })
  })

const refusedCredentials = ({ error }: Failure): boolean =>
  error.code === 'unauthenticated' || error.code === 'reauthorization_required'

/** Sends a call, again where that is safe and within the budget, and reads its reply; throws IntegrationErrors only. Its deadline counts from `begunAt`. */
export const perform = async <T>(
  wire: Wire,
  first: Call,
  options: CallOptions | undefined,
  read: Read<T>,
  begunAt = wire.clock.now(),
): Promise<T> => {
  const { guard, clock } = wire
  const settings = guard.policy()
  const deadlineMs = first.deadlineMs ?? settings.deadlineMs
  const deadline = begunAt + deadlineMs
  const stop = openStop(wire.stops, options?.signal, wire.closed)
  const once = !(first.body instanceof ReadableStream)
  let call = first
  let held = false
  let renewed = false
  let exchanged = false
  let before: Failure | undefined
  guard.begin()
  try {
    for (let attempt = 1; ; attempt++) {
      const trial: Trial = { attempt, deadline, deadlineMs, stop, options }
      const outcome = await attemptOnce(wire, call, trial, read)
      if ('value' in outcome) {
        held = call.streamed
        return outcome.value
      }
      let { failure } = outcome
      stop.again()
      // That nothing could be sent once more says less than what came of it before.
      if (failure.held === true && before !== undefined) throw before.error
      if (refusedCredentials(failure) && once) {
        if (failure.status === 401 && !renewed) {
          renewed = true
          const renewal = await renew(wire, call, trial)
          if (renewal === true) continue
          if (renewal !== false) failure = { error: renewal, again: 'never' }
        }
        const other = exchanged ? undefined : await replaced(wire, call, trial)
        if (other !== undefined) {
          exchanged = true
          renewed = false
          call = other
          continue
        }
      }
      before = failure
      const waitMs = guard.backoff(attempt, failure.retryAfterMs)
      if (
        attempt >= settings.attempts ||
        !mayRepeat(call, failure) ||
        clock.now() + waitMs >= deadline ||
        !guard.repeat()
      ) {
        if (call.body instanceof ReadableStream && !call.body.locked) await call.body.cancel().catch(() => {})
        throw failure.error
      }
      if (wire.log !== undefined)
        note(wire, {
          level: 'info',
          event: 'repeat',
          message: `${call.method} ${wire.redact(shown(call.path))} is sent again after ${failure.error.code}`,
          method: call.method,
          path: wire.redact(shown(call.path)),
          code: failure.error.code,
          attempt,
          waitMs,
        })
      if (stop.why() === undefined) await pause(wire, waitMs, stop)
    }
  } finally {
    if (!held) stop.release()
  }
}
