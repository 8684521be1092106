import { integrationError, isIntegrationError } from '@ecokit/contracts'
import type { IntegrationError } from '@ecokit/contracts'

/** The SQLSTATE of an error of the server; undefined for any other. */
export const stateOf = (thrown: unknown): string | undefined => {
  const { code, severity } = (thrown ?? {}) as { code?: unknown; severity?: unknown }
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) && severity !== undefined ? code : undefined
}
/** True where the same transaction may go well when it is tried again: a serialization failure, a deadlock. */
export const isPassing = (thrown: unknown): boolean => ['40001', '40P01'].includes(stateOf(thrown) ?? '')
/** True where single rows of a COPY may be at fault: values and constraints. */
export const isAboutRows = (thrown: unknown): boolean => /^(?:22|23|44|P0001|54000)/.test(stateOf(thrown) ?? '')

const tlsNext = 'Give the authority of the server in config.ca, or choose another mode in config.ssl'
const tlsCode = /^(?:ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO|HOSTNAME_MISMATCH|EPROTO)/
const lost = /Connection terminated|timeout expired|Client has encountered a connection error|not queryable/

interface About {
  readonly partner: string
  readonly what: string
  /** The table that it is about. */
  readonly table?: string
}

const ofServer = (state: string, thrown: Error & { readonly column?: unknown }, about: About): IntegrationError => {
  const { partner } = about
  // Never `detail`, `where` or `hint`: they quote rows and statements.
  const what = `${about.what}: ${(thrown.message.split('\n')[0] ?? '').slice(0, 500)} (SQLSTATE ${state})`
  const partnerCode = state
  const unavailable = (next?: string) =>
    integrationError('unavailable', { partner, what, ...(next !== undefined && { next }), details: { cause: state } })
  if (state.startsWith('28'))
    return integrationError('unauthenticated', {
      partner,
      what,
      next: 'Correct the user name and the password, or let the user in by the pg_hba.conf of the server',
      details: {},
    })
  if (state === '42501')
    return integrationError('forbidden', { partner, what, next: 'Grant the user that right', details: {} })
  if (state === '25006')
    return integrationError('forbidden', { partner, what, next: 'Write to the primary server', details: {} })
  if (state === '3D000')
    return integrationError('not_found', { partner, what, next: 'Correct config.database', details: { partnerCode } })
  if (state === '42P01' || state === '3F000')
    return integrationError('not_found', { partner, what, details: { partnerCode } })
  if (state === '53300')
    return integrationError('rate_limited', {
      partner,
      what,
      next: 'Close other connections, or raise max_connections',
      details: {},
    })
  if (state === '53100') return unavailable('Free space on the disk of the server: what was committed is safe')
  if (/^(?:08|53|57P|58)/.test(state)) return unavailable()
  if (state === '57014') return integrationError('timeout', { partner, what, details: { timeoutMs: 0 } })
  if (isPassing(thrown) || state === '55P03' || state === '55006')
    return integrationError('conflict', {
      partner,
      what,
      next: 'Try again when the other user of the table is done',
      details: { partnerCode },
      retryable: true,
    })
  if (state === '2BP01' || (state === '0A000' && thrown.message.startsWith('cannot alter')))
    return integrationError('conflict', {
      partner,
      what,
      next: 'Drop what depends on the table or the column first, or write to another table',
      details: { partnerCode },
    })
  if (state.startsWith('22'))
    return integrationError('invalid_data', {
      partner,
      what,
      details: { stream: about.table ?? '', field: typeof thrown.column === 'string' ? thrown.column : '' },
    })
  return integrationError('rejected', { partner, what, details: { partnerCode } })
}

/** What the server, its client or the socket threw, as an error of ours. */
export const serverError = (thrown: unknown, about: About): IntegrationError => {
  if (isIntegrationError(thrown)) return thrown
  const { partner } = about
  if (!(thrown instanceof Error)) return integrationError('internal', { partner, what: about.what, details: {} })
  const state = stateOf(thrown)
  if (state !== undefined) return ofServer(state, thrown, about)
  const { message } = thrown
  const code = 'code' in thrown && typeof thrown.code === 'string' ? thrown.code : undefined
  if (message.includes('does not support SSL'))
    return integrationError('invalid_config', {
      partner,
      what: `${about.what}: the server does not speak TLS`,
      next: 'Switch TLS on at the server; only where the way to it is safe, set config.ssl to disable',
      details: { field: 'config.ssl' },
    })
  if (code !== undefined && tlsCode.test(code))
    return integrationError('unavailable', {
      partner,
      what: `${about.what}: the server's certificate is not accepted (${code})`,
      next: tlsNext,
      details: { cause: code },
      retryable: false,
    })
  if (message.startsWith('SASL'))
    return integrationError('unauthenticated', {
      partner,
      what: `${about.what}: the server does not know the password (${message.slice(0, 120)})`,
      next: 'Correct the user name and the password',
      details: {},
    })
  if (lost.test(message) || code !== undefined)
    return integrationError('unavailable', {
      partner,
      what: `${about.what}: the connection was lost${code === undefined ? '' : ` (${code})`}`,
      next: 'Try again: what was committed is safe',
      details: { cause: code ?? 'ECONNRESET' },
    })
  return integrationError('internal', { partner, what: `${about.what}: ${message}`, details: {} })
}
