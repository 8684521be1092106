import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'

/** The faults of HTTP, and what each one does to the requests that it falls on. */
export const httpKinds = {
  latency: 'the reply comes late',
  reset: 'the connection is reset instead of a reply; the request has not reached the partner',
  resetMid: 'the connection is reset in the middle of the body; the request has reached the partner',
  hang: 'no reply ever',
  slow: 'the body comes in many small pieces',
  slowClose: 'only the end of the connection ends the body, and it comes late',
  truncate: 'the connection ends in the middle of the body, without a reset',
  r429: 'status 429 with Retry-After in seconds',
  r429date: 'status 429 with Retry-After as a date',
  r5xx: 'status 500, 502, 503 or 504, as JSON or as a page for people',
  r200html: 'status 200 and a login page',
  expired: 'status 401 for the credential of the request, from then on; only once where there is none',
  badGzip: 'the body is said to be gzip, and is not or ends early',
  wrongLen: 'the length said is smaller or larger than the body',
  dupPage: 'each page comes a second time, as its own next page',
  loopCursor: 'the next page is the same one, without end; the tokens are one, or two in turn',
  nullRow: 'a record is null',
  typeFlip: 'a field is of another type',
  newField: 'every object has a field that nobody knows',
  redirect: 'the reply sends on: to the same place once more, or to another host',
} as const
export type HttpKind = keyof typeof httpKinds

/** Which requests a fault falls on. */
export const schedules = ['first', 'second', 'all', 'half', 'first two'] as const
export type Schedule = (typeof schedules)[number]

export interface Plan {
  readonly kind: HttpKind
  readonly seed: number
  readonly schedule: Schedule
}

export interface Incoming {
  readonly method: string
  /** Path and query. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}
export interface Outgoing {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  readonly body: Buffer
}
/** A base URL, or an answer made here. */
export type Upstream = string | ((request: Incoming) => Outgoing | Promise<Outgoing>)

/** One request as the fault server saw it. */
export interface Seen {
  readonly method: string
  readonly path: string
  readonly query: string
  readonly authorization: string | undefined
  /** By the server's clock, epoch milliseconds. */
  readonly at: number
  /** The fault that fell on it; absent where it was served as the partner answered. */
  fault?: HttpKind
  /** True where the partner has got it. */
  forwarded: boolean
  /** The time that its reply asked to wait until, by the server's clock. */
  notBefore?: number
}
