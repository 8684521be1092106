import { integrationError, isIntegrationError, type ErrorCode, type IntegrationError } from '@ecokit/contracts'
import { tidy, type Redact } from './redact.ts'

/** What a failure was about, for its message. */
export interface About {
  readonly partner: string
  readonly method: string
  readonly origin: string
  /** Without the query. */
  readonly path: string
  /** Counts from 1. */
  readonly attempt: number
  readonly redact: Redact
}
/** Whether another attempt makes sense: `safe` for every call that is safe to repeat, `reads` for reads only. */
export type Again = 'safe' | 'reads' | 'never'
export interface Failure {
  readonly error: IntegrationError
  readonly again: Again
  /** How long the partner asks to wait. */
  readonly retryAfterMs?: number | undefined
  readonly status?: number
  /** True where the guard let nothing be sent. */
  readonly held?: true
}

/** What may stand in the details of some code; each code takes what belongs to it. */
interface Facts {
  readonly status?: number | undefined
  readonly partnerCode?: string | undefined
  readonly retryAfterMs?: number | undefined
  readonly timeoutMs?: number | undefined
  readonly cause?: string | undefined
  readonly limit?: number | undefined
  readonly field?: string | undefined
  readonly host?: string | undefined
}
const factsOf: Readonly<Record<ErrorCode, readonly (keyof Facts)[]>> = {
  invalid_config: ['field'],
  invalid_credentials: ['field'],
  invalid_input: ['field'],
  host_not_allowed: ['host'],
  unsupported: [],
  unauthenticated: ['status'],
  reauthorization_required: [],
  forbidden: ['status'],
  not_found: ['status', 'partnerCode'],
  conflict: ['status', 'partnerCode'],
  rejected: ['status', 'partnerCode'],
  rate_limited: ['retryAfterMs'],
  overloaded: [],
  circuit_open: ['retryAfterMs'],
  timeout: ['timeoutMs'],
  unavailable: ['status', 'cause'],
  too_large: ['limit'],
  invalid_reply: ['field', 'status'],
  invalid_data: ['field'],
  cancelled: [],
  internal: [],
}

/** The error for one request, its message and details free of secrets. */
export const requestError = (
  about: About,
  code: ErrorCode,
  happened: string,
  next: string | undefined,
  facts: Facts = {},
  retryable?: boolean,
): IntegrationError => {
  const details: Record<string, string | number> = {}
  for (const name of factsOf[code]) {
    const fact = facts[name]
    if (fact !== undefined) details[name] = typeof fact === 'string' ? tidy(fact, about.redact, 200) : fact
  }
  return integrationError(code, {
    partner: about.partner,
    what: tidy(
      `${about.method} ${tidy(about.path, about.redact, 200)} ${about.attempt > 1 ? `(attempt ${about.attempt}) ` : ''}${happened}`,
      about.redact,
      1000,
    ),
    ...(next === undefined ? {} : { next: tidy(next, about.redact, 1000) }),
    details,
    ...(retryable === undefined ? {} : { retryable }),
  })
}

const byStatus = (status: number): ErrorCode => {
  if (status === 401) return 'unauthenticated'
  if (status === 403) return 'forbidden'
  if (status === 404 || status === 410) return 'not_found'
  if (status === 409 || status === 412 || status === 423) return 'conflict'
  if (status === 429) return 'rate_limited'
  if (status === 408) return 'unavailable'
  if (status < 500) return 'rejected'
  return status < 600 ? 'unavailable' : 'invalid_reply'
}
const passing = new Set([408, 429, 502, 503, 504])

const nextStep = (code: ErrorCode, about: About, retryAfterMs: number | undefined): string => {
  switch (code) {
    case 'unauthenticated':
      return `Check the credentials of "${about.partner}"`
    case 'forbidden':
      return `Give the credentials of "${about.partner}" the right to do this, or use others`
    case 'not_found':
      return 'Check the name or id that was asked for'
    case 'conflict':
      return 'Look at its present state and try again'
    case 'rate_limited':
    case 'unavailable':
    case 'timeout':
      if (retryAfterMs !== undefined) return `Try again in ${Math.ceil(retryAfterMs / 1000)} s`
      if (code === 'rate_limited') return 'Try again later, or ask less often'
      return `Try again later; if it stays, look into the log of ${about.origin}`
    case 'invalid_reply':
      return `Is ${about.origin} the address of the partner's API?`
    default:
      return 'Correct the request'
  }
}

/** What a reply of status 400 and above means; `explained` is the connector's own reading of it. */
export const statusFailure = (
  about: About,
  status: number,
  body: string,
  retryAfterMs: number | undefined,
  timeoutMs: number,
  explained:
    | {
        readonly code?: ErrorCode | undefined
        readonly partnerCode?: string | undefined
        readonly reason?: string | undefined
      }
    | undefined,
): Failure => {
  const code = explained?.code ?? byStatus(status)
  const reason = tidy(explained?.reason ?? reasonIn(body), about.redact)
  const partnerCode = explained?.partnerCode === undefined ? '' : ` ${tidy(explained.partnerCode, about.redact, 100)}`
  const transient = code === 'rate_limited' || code === 'unavailable' || code === 'timeout'
  const again: Again =
    transient && (explained?.code !== undefined || passing.has(status))
      ? 'safe'
      : transient && status === 500
        ? 'reads'
        : 'never'
  return {
    error: requestError(
      about,
      code,
      `was answered with ${status}${partnerCode}${reason === '' ? '' : `: ${reason.replace(/\.$/, '')}`}`,
      nextStep(code, about, retryAfterMs),
      { status, partnerCode: explained?.partnerCode, retryAfterMs, timeoutMs },
      status === 501 || status === 505 ? false : undefined,
    ),
    again,
    retryAfterMs,
    status,
  }
}

/** The sentence for people in an error body of a common form: a JSON field, the title of a page, or the text itself. */
const reasonIn = (body: string): string => {
  const text = body.trim()
  if (text.startsWith('{') || text.startsWith('[')) {
    try {
      return reasonOf(JSON.parse(text), 0) ?? ''
    } catch {
      return text
    }
  }
  return text.startsWith('<') ? (/<title[^>]*>([^<]*)/i.exec(text)?.[1] ?? '') : text
}
const reasonOf = (value: unknown, depth: number): string | undefined => {
  if (typeof value === 'string') return value
  if (typeof value !== 'object' || value === null || depth > 3) return undefined
  if (Array.isArray(value)) return reasonOf(value[0], depth + 1)
  for (const name of ['message', 'error_description', 'detail', 'error', 'errors', 'title', 'reason', 'msg'])
    if (Object.hasOwn(value, name)) {
      const found = reasonOf((value as Record<string, unknown>)[name], depth + 1)
      if (found !== undefined && found !== '') return found
    }
  return undefined
}

// Node's names: https://nodejs.org/api/errors.html#common-system-errors and https://nodejs.org/api/tls.html#x509-certificate-error-codes; undici's: its docs/api/Errors.md
const unreachable = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'EHOSTDOWN', 'ENETDOWN', 'EADDRNOTAVAIL'])
const nameless = new Set(['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'EAI_NONAME'])
const broken = new Set([
  'ECONNRESET',
  'EPIPE',
  'ECONNABORTED',
  'ETIMEDOUT',
  'UND_ERR_SOCKET',
  // Of HTTP/2: GOAWAY, or a stream that the server gave up.
  'UND_ERR_INFO',
  'ERR_STREAM_PREMATURE_CLOSE',
])
/** What undici says of a proxy that does not let us through; its words hold a status and nothing else. */
const proxyStatus = /^Proxy (?:response|Authentication Required) \((\d{3})\)/
const slow = new Set(['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'])
const untrusted =
  /^(?:CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|ERR_TLS_|ERR_SSL_|ERR_OSSL|EPROTO|HOSTNAME_MISMATCH|INVALID_CA)/
const malformed =
  /^(?:HPE_|Z_|ERR__|ZSTD_|ERR_BROTLI|ERR_ZSTD|UND_ERR_HEADERS_OVERFLOW|UND_ERR_RES_CONTENT_LENGTH_MISMATCH|UND_ERR_RES_EXCEEDED)/

/** The error's code; undici's parser gives some of its errors none. */
const codeOf = (error: unknown): string => {
  if (!(error instanceof Error)) return ''
  if ('code' in error && typeof error.code === 'string') return error.code
  return error.name === 'HTTPParserError' ? 'HPE_INVALID' : ''
}

/** What an error of the transport means. An IntegrationError, from an authorizer or the caller's own body, passes unchanged. */
export const transportFailure = (about: About, error: unknown, timeoutMs: number): Failure => {
  if (isIntegrationError(error)) return { error, again: 'never' }
  const cause = codeOf(error)
  const fail = (again: Again, ...rest: [ErrorCode, string, string | undefined, Facts?, boolean?]): Failure => ({
    error: requestError(about, ...rest),
    again,
  })
  const { origin } = about
  if (unreachable.has(cause))
    return fail('safe', 'unavailable', `could not connect (${cause})`, `Is the server at ${origin} running?`, { cause })
  if (nameless.has(cause))
    return fail(
      'safe',
      'unavailable',
      `could not find the host (${cause})`,
      `Is ${origin} spelt right, and is the network up?`,
      { cause },
    )
  const status = proxyStatus.exec(error instanceof Error ? error.message : '')?.[1]
  if (status !== undefined || cause.startsWith('UND_ERR_PRX_')) {
    const passes = !(status?.startsWith('4') ?? cause === 'UND_ERR_PRX_TLS')
    return fail(
      passes ? 'safe' : 'never',
      'unavailable',
      `could not pass the proxy (${status ?? cause})`,
      `Check the proxy and its credentials, and whether it may reach ${origin}`,
      { cause: status === undefined ? cause : `proxy ${status}` },
      passes,
    )
  }
  if (broken.has(cause) || cause.startsWith('ERR_HTTP2_'))
    return fail(
      'safe',
      'unavailable',
      `lost the connection (${cause})`,
      `Try again; if it stays, look into the log of ${origin}`,
      { cause },
    )
  if (cause === 'UND_ERR_CONNECT_TIMEOUT') {
    const allowed = /timeout: (\d+)ms/.exec(error instanceof Error ? error.message : '')?.[1]
    return fail(
      'safe',
      'timeout',
      `could not connect within ${allowed ?? timeoutMs} ms`,
      `Is the server at ${origin} running, and does the network let us through to it?`,
      { timeoutMs: Number(allowed ?? timeoutMs) },
    )
  }
  if (slow.has(cause)) return timeoutFailure(about, timeoutMs)
  if (untrusted.test(cause))
    return fail(
      'never',
      'unavailable',
      `could not agree on a secure connection (${cause})`,
      `Check the certificate and the TLS version of ${origin}; say what it needs with tls: { ca, minVersion } in the runtime, or network: { tls: { ca, minVersion } } of the partner in ecosystem.yaml`,
      { cause },
      false,
    )
  if (malformed.test(cause))
    return fail(
      'never',
      'invalid_reply',
      `was answered with something that cannot be read (${cause})`,
      nextStep('invalid_reply', about, undefined),
    )
  if (cause === 'UND_ERR_DESTROYED' || cause === 'UND_ERR_CLOSED') return { error: closedError(about), again: 'never' }
  return fail('never', 'internal', `failed: ${error instanceof Error ? error.message : String(error)}`, undefined)
}

export const timeoutFailure = (about: About, timeoutMs: number): Failure => ({
  error: requestError(
    about,
    'timeout',
    `was not answered within ${timeoutMs} ms`,
    `Is the server at ${about.origin} overloaded? Allow it more time, or ask for less at once`,
    { timeoutMs },
  ),
  again: 'safe',
})
/** The whole call took too long, with its waits and repeats; `attempt` requests were sent, or were about to be. */
export const deadlineFailure = (about: About, deadlineMs: number): Failure => ({
  error: requestError(
    about,
    'timeout',
    `was not done within its deadline of ${deadlineMs} ms`,
    `Is ${about.origin} overloaded, or are there more calls than its limits allow? Raise deadlineMs, or ask for less at once`,
    { timeoutMs: deadlineMs },
  ),
  again: 'never',
})
export const cancelledError = (about: About): IntegrationError =>
  requestError(about, 'cancelled', 'was cancelled', undefined)
export const closedError = (about: About): IntegrationError =>
  requestError(about, 'cancelled', 'was cancelled: the connection is closed', undefined)
