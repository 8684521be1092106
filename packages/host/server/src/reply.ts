import { toJson, toIntegrationError } from '@ecokit/contracts'
import type { ErrorCode, IntegrationError } from '@ecokit/contracts'

// 401 and 403 are kept for our own token: what a partner refuses is a fault behind us, and a browser must not take it for its own.
const statuses: Readonly<Record<ErrorCode, number>> = {
  invalid_config: 400,
  invalid_credentials: 400,
  invalid_input: 400,
  host_not_allowed: 400,
  unsupported: 400,
  not_found: 404,
  conflict: 409,
  unauthenticated: 502,
  reauthorization_required: 502,
  forbidden: 502,
  rejected: 502,
  unavailable: 502,
  too_large: 502,
  invalid_reply: 502,
  invalid_data: 502,
  rate_limited: 503,
  overloaded: 503,
  circuit_open: 503,
  cancelled: 503,
  timeout: 504,
  internal: 500,
}

/** A JSON reply that keeps the digits of a bigint. */
export const json = (value: unknown, status = 200): Response =>
  new Response(toJson(value), { status, headers: { 'content-type': 'application/json' } })

const own: Partial<Readonly<Record<ErrorCode, number>>> = {
  unauthenticated: 401,
  forbidden: 403,
  too_large: 413,
  unavailable: 503,
}

/** A refusal by the server itself. */
export const failure = (code: ErrorCode, message: string, field?: string): Response =>
  json({ error: { code, message, ...(field === undefined ? {} : { field }) } }, own[code] ?? statuses[code])

/** What a handler threw, as the reply that the OpenAPI document promises. */
export const thrown = (value: unknown, report: (error: IntegrationError) => void): Response => {
  const error = toIntegrationError(value)
  const status = statuses[error.code] as number | undefined
  if (status === undefined || error.code === 'internal') {
    // The words of an unexpected fault may hold anything, so they go to the operator and not over the wire.
    report(error)
    return failure('internal', 'an unexpected fault; the server has logged it')
  }
  const field = 'field' in error.details && error.details.field
  return json(
    { error: { code: error.code, message: error.message, ...(typeof field === 'string' ? { field } : {}) } },
    status,
  )
}
