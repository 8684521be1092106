import { Buffer } from 'node:buffer'
import { header } from './body.ts'
import type { ReplyHeaders } from './exchange.ts'

/** A reply that may be used again (RFC 9111), as a private cache keeps it. Times are epoch milliseconds. */
export interface Kept {
  /** Names in lower case; without those that belong to one connection only. */
  readonly headers: ReplyHeaders
  /** As they came: compressed where they were. */
  readonly bytes: Buffer
  /** The request's headers that Vary names, as they were sent, without those of the authorizer: they are secret, and each credential has replies of its own. null: absent. */
  readonly vary: Readonly<Record<string, string | null>>
  readonly requestedAt: number
  readonly receivedAt: number
}

/** The directives of a Cache-Control header; of numbers that come twice the smaller counts, and what is no number is 0 (RFC 9111, 4.2.1). */
export const directivesOf = (value: string | undefined): ReadonlyMap<string, number> => {
  const found = new Map<string, number>()
  for (const [, name = '', quoted, plain] of (value ?? '').matchAll(
    /([!#$%&'*+.^_`|~0-9a-z-]+)(?:=(?:"((?:[^"\\]|\\.)*)"|([^\s,]*)))?/gi,
  )) {
    const text = quoted ?? plain ?? ''
    const seconds = /^\d+$/.test(text) ? Math.min(Number(text), 2 ** 31) : 0
    const key = name.toLowerCase()
    found.set(key, Math.min(found.get(key) ?? Infinity, seconds))
  }
  return found
}

const dateOf = (value: string | undefined): number | undefined => {
  const time = value === undefined ? NaN : Date.parse(value)
  return Number.isNaN(time) ? undefined : time
}
const validator = (headers: ReplyHeaders): boolean =>
  header(headers, 'etag') !== undefined || dateOf(header(headers, 'last-modified')) !== undefined

/** For how long a reply may be used from when it was made; no guesses from Last-Modified. */
const lifetimeMs = (headers: ReplyHeaders, receivedAt: number): number => {
  const directives = directivesOf(header(headers, 'cache-control'))
  if (directives.has('no-cache')) return 0
  const seconds = directives.get('max-age')
  if (seconds !== undefined) return seconds * 1000
  const expires = header(headers, 'expires')
  if (expires === undefined) return 0
  return (dateOf(expires) ?? 0) - (dateOf(header(headers, 'date')) ?? receivedAt)
}

/** How old it was when it arrived (RFC 9111, 4.2.3). */
const ageAtArrival = ({ headers, requestedAt, receivedAt }: Kept): number => {
  const apparent = Math.max(0, receivedAt - (dateOf(header(headers, 'date')) ?? receivedAt))
  const age = header(headers, 'age')
  const said = age === undefined ? 0 : /^\d+$/.test(age) ? Number(age) * 1000 : Infinity
  return Math.max(apparent, said + (receivedAt - requestedAt))
}

/** Until when it may be used without asking. */
export const freshUntil = (kept: Kept): number =>
  kept.receivedAt + lifetimeMs(kept.headers, kept.receivedAt) - ageAtArrival(kept)

/** Whether it may be used without asking, for a request with these directives of its own. A clock that was set back asks. */
export const isFresh = (kept: Kept, now: number, asked: ReadonlyMap<string, number>): boolean => {
  if (asked.has('no-cache') || now < kept.receivedAt) return false
  const age = ageAtArrival(kept) + now - kept.receivedAt
  if (age > (asked.get('max-age') ?? Infinity) * 1000) return false
  return freshUntil(kept) - now > (asked.get('min-fresh') ?? 0) * 1000
}

const hopByHop = new Set(
  'connection,keep-alive,proxy-authenticate,proxy-authentication-info,proxy-authorization,proxy-connection,te,trailer,transfer-encoding,upgrade,set-cookie'.split(
    ',',
  ),
)
const lasting = (headers: ReplyHeaders): ReplyHeaders => {
  const named = (header(headers, 'connection') ?? '').toLowerCase().split(/\s*,\s*/)
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.has(name) && !named.includes(name)))
}

/** What is kept of a reply to a GET; undefined where nothing may be, or where it would be of no use. */
export const toKeep = (
  asked: Readonly<Record<string, string>>,
  sent: Readonly<Record<string, string>>,
  reply: { readonly headers: ReplyHeaders; readonly bytes: Buffer },
  requestedAt: number,
  receivedAt: number,
): Kept | undefined => {
  const { headers } = reply
  if (directivesOf(header(headers, 'cache-control')).has('no-store')) return undefined
  const names = (header(headers, 'vary') ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  if (names.includes('*')) return undefined
  const ours = names.filter((name) => asked[name] === sent[name])
  const vary = Object.fromEntries(ours.map((name) => [name, sent[name] ?? null]))
  const kept: Kept = { headers: lasting(headers), bytes: Buffer.from(reply.bytes), vary, requestedAt, receivedAt }
  return validator(headers) || freshUntil(kept) > receivedAt ? kept : undefined
}

/** Whether the reply was given to a request like this one (RFC 9111, 4.1). */
export const fits = (kept: Kept, request: Readonly<Record<string, string>>): boolean =>
  Object.entries(kept.vary).every(([name, value]) => (request[name] ?? null) === value)

/** The headers that ask whether it is still right; none where it has no validator. */
export const conditionsOf = ({ headers }: Kept): Readonly<Record<string, string>> => {
  const etag = header(headers, 'etag')
  const modified = header(headers, 'last-modified')
  return {
    ...(etag === undefined ? {} : { 'if-none-match': etag }),
    ...(modified === undefined || dateOf(modified) === undefined ? {} : { 'if-modified-since': modified }),
  }
}

const described = new Set(['content-length', 'content-encoding', 'content-range', 'content-type'])
/** What is kept after a 304 (RFC 9111, 4.3.4); undefined where it speaks of another reply. */
export const renewed = (
  kept: Kept,
  headers: ReplyHeaders,
  requestedAt: number,
  receivedAt: number,
): Kept | undefined => {
  const tag = (value: string | undefined) => value?.replace(/^W\//, '')
  const now = header(headers, 'etag')
  if (now !== undefined && tag(now) !== tag(header(kept.headers, 'etag'))) return undefined
  const fresh = Object.entries(lasting(headers)).filter(([name]) => !described.has(name))
  const { age: _, ...before } = kept.headers
  return { ...kept, headers: { ...before, ...Object.fromEntries(fresh) }, requestedAt, receivedAt }
}

/** As text, for `Shared`. */
export const toText = (kept: Kept): string => JSON.stringify({ ...kept, bytes: kept.bytes.toString('base64') })
/** Undefined for what this version did not write. */
export const fromText = (text: string): Kept | undefined => {
  try {
    const read = JSON.parse(text) as Omit<Kept, 'bytes'> & { readonly bytes: string }
    if (typeof read.bytes !== 'string' || typeof read.receivedAt !== 'number' || typeof read.vary !== 'object')
      return undefined
    return { ...read, bytes: Buffer.from(read.bytes, 'base64') }
  } catch {
    return undefined
  }
}
