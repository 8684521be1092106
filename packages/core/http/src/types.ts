import type { Dispatcher } from 'undici'
import type { Authorizer, ErrorCode, OpenHttp } from '@ecokit/contracts'

export interface Clock {
  /** Epoch milliseconds. */
  now(): number
  /** Rejects as soon as the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** One request on the wire, retries and redirects counted one by one. Holds no query, no header and no secret. */
export interface Exchange {
  readonly partner: string
  readonly method: string
  readonly host: string
  /** Without the query. */
  readonly path: string
  /** Absent when no reply came. */
  readonly status?: number
  /** Absent when the exchange went well. */
  readonly code?: ErrorCode
  /** Counts from 1. */
  readonly attempt: number
  /** Epoch milliseconds. */
  readonly startedAt: number
  /** To the last byte of the reply. */
  readonly durationMs: number
  readonly requestBytes: number
  /** Bytes of the reply's body that were read, after decompression. */
  readonly replyBytes: number
}

export interface NetworkRuntime {
  /** Used instead of our own pool, and never closed by us: a proxy agent, a mock. */
  readonly dispatcher?: Dispatcher
  readonly clock?: Clock
  /** From 0 up to, and without, 1; the jitter of the waits between attempts. */
  readonly random?: () => number
  readonly retry?: {
    /** How often a call is sent at most, the first time included. Default 4. */
    readonly attempts?: number
    /** The wait before the second attempt is a random part of this, and doubles from then on. Default 200. */
    readonly baseMs?: number
    /** Upper bound of a wait that we choose ourselves. Default 10,000. */
    readonly maxMs?: number
  }
  /** Not for a given `dispatcher`, which has its own. */
  readonly tls?: {
    /** Default TLSv1.3. */
    readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
    /** PEM text of a certificate authority to trust besides the well-known ones. */
    readonly ca?: string
  }
  /** Called once for each exchange; what it throws is ignored. */
  readonly observe?: (exchange: Exchange) => void
}

export interface NetworkOptions {
  /** The connection's name: every message begins with it. */
  readonly partner: string
  /** The manifest's hosts. */
  readonly hosts: readonly string[]
  readonly config: unknown
  /** A function gets a way out without credentials, for token endpoints. */
  readonly authorizer?: Authorizer | ((anonymous: OpenHttp) => Authorizer) | undefined
  /** Values that may show up in no error and no exchange, in no encoding; those of under 4 characters are left alone. */
  readonly secrets?: readonly string[]
  readonly runtime?: NetworkRuntime | undefined
}

export interface Network {
  readonly http: OpenHttp
  /** Ends what is under way with `cancelled` and frees the sockets; calls after it fail with `cancelled`. */
  close(): Promise<void>
  /** How many requests were sent so far. */
  requests(): number
}
