import { integrationError, isIntegrationError, type IntegrationError } from '@ecokit/contracts'

/** Nobody can renew these tokens without a person. */
export const reauthorizationRequired = (
  partner: string,
  scheme: string,
  why: string,
  issuer?: string,
): IntegrationError<'reauthorization_required'> =>
  integrationError('reauthorization_required', {
    partner,
    what: `${scheme}: ${why}`,
    next: `Run: ecokit login ${partner}`,
    details: { scheme, ...(issuer === undefined ? {} : { issuer }) },
  })

// Causes that come before the first byte leaves: https://nodejs.org/api/errors.html#common-system-errors
const unreached =
  /^(?:ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|EADDRNOTAVAIL|ENOTFOUND|EAI_[A-Z]+|UND_ERR_CONNECT_TIMEOUT)$/
/** A gateway gave up waiting: the issuer behind it may have acted. */
const gaveUp: readonly unknown[] = [502, 504]
const unheard: readonly string[] = ['timeout', 'cancelled', 'internal', 'invalid_reply', 'too_large']

/** Whether an issuer may have acted on a request that left and ended in this error. */
export const mayHaveActed = (error: unknown): boolean => {
  if (!isIntegrationError(error) || unheard.includes(error.code)) return true
  if (!isIntegrationError(error, 'unavailable')) return false
  const { status, cause = '' } = error.details
  if (status !== undefined) return gaveUp.includes(status)
  // One that no repeat can mend is a TLS handshake that failed.
  return !unreached.test(cause) && error.retryable
}

/** How long the issuer asks to wait. */
export const askedToWait = (error: unknown): number | undefined =>
  isIntegrationError(error, 'rate_limited') || isIntegrationError(error, 'circuit_open')
    ? error.details.retryAfterMs
    : undefined
