import type { IntegrationError } from '@ecokit/contracts'
import type { Verdict } from './breaker.ts'
import type { Failure } from './failure.ts'
import type { LogLine } from './types.ts'
import type { Hop, Wire } from './wire.ts'

/** Writes a line of the log; what the log does with it cannot harm the call. */
export const note = (wire: Wire, line: Omit<LogLine, 'time' | 'partner'>): void => {
  try {
    wire.log?.({ time: wire.clock.now(), partner: wire.partner, ...line })
  } catch {
    // A log that fails is its owner's concern.
  }
}

let lastOrigin = ''
let lastHost = ''
/** Most requests in a row go to one host. */
const hostOf = (origin: string): string => {
  if (origin !== lastOrigin) {
    lastOrigin = origin
    lastHost = origin.slice(origin.indexOf('//') + 2)
  }
  return lastHost
}

const line = (wire: Wire, hop: Hop, error: IntegrationError | undefined, durationMs: number): void => {
  const { method, attempt } = hop.about
  const path = wire.redact(hop.about.path)
  note(wire, {
    level: error === undefined ? 'debug' : 'info',
    event: 'request',
    message: `${method} ${path} ${error === undefined ? (hop.status ?? '') : error.code}`,
    method,
    host: hostOf(hop.about.origin),
    path,
    ...(hop.status !== undefined && { status: hop.status }),
    ...(error !== undefined && { code: error.code }),
    attempt,
    durationMs,
  })
}

/** Tells the observer, the log and the trace of a request that is over; nothing that they do can harm the call. */
export const report = (wire: Wire, hop: Hop, error?: IntegrationError): void => {
  if (!hop.seen) return
  const now = wire.clock.now()
  const durationMs = Math.max(0, now - hop.startedAt)
  if (wire.log !== undefined) line(wire, hop, error, durationMs)
  try {
    hop.watched?.end({ status: hop.status, error, durationMs: Math.max(0, wire.timer.ticks() - hop.ticks) })
    wire.observe?.({
      partner: wire.partner,
      method: hop.about.method,
      host: hostOf(hop.about.origin),
      path: wire.redact(hop.about.path),
      ...(hop.status === undefined ? {} : { status: hop.status }),
      ...(error === undefined ? {} : { code: error.code }),
      attempt: hop.about.attempt,
      startedAt: hop.startedAt,
      durationMs,
      requestBytes: hop.requestBytes,
      replyBytes: hop.replyBytes,
    })
  } catch {
    // An observer that fails is its owner's concern.
  }
}

/** What a failure says about the health of the partner: a reply below 500 is an answer, and what never reached it says nothing. */
export const verdictOf = ({ error, status }: Failure, hop: Hop): Verdict => {
  const answered = status ?? hop.status
  if (error.retryable && (error.code === 'unavailable' || error.code === 'timeout'))
    return answered !== undefined && answered >= 400 && answered < 500 ? 'answered' : 'failed'
  return answered === undefined ? 'unknown' : 'answered'
}
