/** What a host should do about an error: mend the configuration, try again later, or look into a fault. */
export type ErrorClass = 'config' | 'transient' | 'system'

/**
 * Stable codes and what each one's details hold. A code is never renamed; hosts treat one they do not know as `internal`.
 * `field` is a dotted path (`config.trackingUri`), `status` an HTTP status, times are milliseconds.
 */
export interface ErrorDetails {
  /** The configuration does not fit the connector's schema, or `ecosystem.yaml` is wrong. */
  readonly invalid_config: { readonly field: string }
  /** The credentials do not fit the auth scheme, or the variable they refer to is not set. */
  readonly invalid_credentials: { readonly field: string }
  /** An operation was called with input that its schema refuses. */
  readonly invalid_input: { readonly field: string }
  /** A request would have gone to a host that the manifest does not declare. */
  readonly host_not_allowed: { readonly host: string }
  /** The connector has no such capability, operation, stream, sink, encoding or disposition. */
  readonly unsupported: { readonly what: string }
  /** The partner does not accept the credentials (HTTP 401). */
  readonly unauthenticated: { readonly status?: number }
  /** The tokens can no longer be renewed without a person; `issuer` is what the issuer said. */
  readonly reauthorization_required: { readonly scheme: string; readonly issuer?: string }
  /** The partner accepts the credentials and refuses this call (HTTP 403). */
  readonly forbidden: { readonly status?: number }
  /** What was asked for does not exist (HTTP 404, 410, or the partner's own code). */
  readonly not_found: { readonly status?: number; readonly partnerCode?: string }
  /** It exists already, or is being changed or held by somebody else (HTTP 409, 412, a lock). */
  readonly conflict: { readonly status?: number; readonly partnerCode?: string }
  /** The partner refuses the request itself (HTTP 400, 422, other 4xx). */
  readonly rejected: { readonly status?: number; readonly partnerCode?: string }
  /** The partner asks to slow down (HTTP 429); `retryAfterMs` where it says for how long. */
  readonly rate_limited: { readonly retryAfterMs?: number }
  /** Too many calls to the partner wait for their turn already; nothing was sent. */
  readonly overloaded: { readonly queue: number }
  /** The partner failed so often that calls are held back for a while; nothing was sent. */
  readonly circuit_open: { readonly retryAfterMs: number }
  /** No answer within the time allowed. */
  readonly timeout: { readonly timeoutMs: number }
  /** The partner cannot be reached or answers 5xx; `cause` names the transport's own code (`ECONNREFUSED`). */
  readonly unavailable: { readonly status?: number; readonly cause?: string }
  /** A body is larger than the cap, in bytes. */
  readonly too_large: { readonly limit: number }
  /** The partner answered something that its own interface does not allow. */
  readonly invalid_reply: { readonly field?: string; readonly status?: number }
  /** A record does not fit its stream's schema. */
  readonly invalid_data: { readonly stream: string; readonly field: string }
  /** The caller's signal was aborted. */
  readonly cancelled: object
  /** A fault of ours or of a connector: never expected. */
  readonly internal: object
}
export type ErrorCode = keyof ErrorDetails

const transient: readonly string[] = ['rate_limited', 'overloaded', 'circuit_open', 'timeout', 'unavailable']
const system: readonly string[] = ['too_large', 'invalid_reply', 'invalid_data', 'cancelled', 'internal']
const classOf = (code: string): ErrorClass =>
  transient.includes(code) ? 'transient' : system.includes(code) ? 'system' : 'config'

/** The only error that leaves this framework. Its message names the partner, what failed and what to do next; it never holds a secret. */
export interface IntegrationError<C extends ErrorCode = ErrorCode> extends Error {
  readonly name: 'IntegrationError'
  /** The brand, which works across copies of this package; `isIntegrationError` looks at nothing else. */
  readonly ecokit: 1
  readonly code: C
  readonly class: ErrorClass
  /** True where the same call may succeed later without a change by anybody. */
  readonly retryable: boolean
  readonly details: ErrorDetails[C]
  /** The connection's name, or the connector's id where there is no connection yet. */
  readonly partner: string | undefined
}

/** Makes the error; `retryable` follows the code's class unless it is said here. `next` is the step that mends it, in the imperative. */
export const integrationError = <C extends ErrorCode>(
  code: C,
  about: {
    readonly partner?: string | undefined
    readonly what: string
    readonly next?: string
    readonly details: ErrorDetails[C]
    readonly retryable?: boolean
  },
): IntegrationError<C> => {
  const message = `${about.partner === undefined ? '' : `${about.partner}: `}${about.what}${about.next === undefined ? '' : `. ${about.next}`}`
  const extra = {
    name: 'IntegrationError' as const,
    ecokit: 1 as const,
    code,
    class: classOf(code),
    retryable: about.retryable ?? classOf(code) === 'transient',
    details: about.details,
    partner: about.partner,
  }
  return Object.assign(new Error(message), extra)
}

/** Recognises the error by its brand; with a code, narrows its details too. */
export const isIntegrationError = <C extends ErrorCode = ErrorCode>(
  value: unknown,
  code?: C,
): value is IntegrationError<C> => {
  const error = value as Partial<IntegrationError> | null | undefined
  return error?.ecokit === 1 && (code === undefined || error.code === code)
}

/** Whatever was thrown, as an IntegrationError: itself, `cancelled` for an abort, else `internal` with the original message. */
export const toIntegrationError = (value: unknown, partner?: string): IntegrationError => {
  if (isIntegrationError(value)) return value
  const text = value instanceof Error ? value.message : typeof value === 'string' ? value : 'threw what is no error'
  if (value instanceof Error && value.name === 'AbortError')
    return integrationError('cancelled', { partner, what: 'cancelled', details: {} })
  return integrationError('internal', { partner, what: text, details: {} })
}
