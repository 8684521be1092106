import type { Duplex } from 'node:stream'
import type { z } from 'zod'
import type { CallOptions, Effect } from './operations.ts'
import type { ErrorCode } from './errors.ts'

export interface Reply {
  /** Always below 400: anything else is thrown as an IntegrationError. */
  readonly status: number
  readonly headers: Headers
  /** Must be read to its end or cancelled, which frees the socket. */
  readonly body: ReadableStream<Uint8Array>
}

/** A reply that was read to its end. */
export interface BytesReply {
  /** Always below 400: anything else is thrown as an IntegrationError. */
  readonly status: number
  readonly headers: Headers
  /** At most `maxReplyBytes`. */
  readonly bytes: Uint8Array
  /** Where it came from, after redirects. */
  readonly url: string
}

export interface Request {
  readonly method: string
  /** Relative to the base URL; never an absolute URL. */
  readonly path: string
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | ReadableStream<Uint8Array> | undefined
  /** Decides whether the call may be repeated: `read` always, others only with `idempotent`. Default: by the method. */
  readonly effect?: Effect
  readonly idempotent?: boolean
}
export interface JsonRequest extends Omit<Request, 'body'> {
  /** Sent as JSON; int64 as bigint keeps its digits. */
  readonly body?: unknown
}

interface PageParameter {
  readonly in: 'query' | 'body'
  readonly parameter: string
}
/** How the next page is asked for. A page that asks for itself again ends the read with `invalid_reply`. */
export type Paging<Page> =
  /** A cursor or page token out of the reply, sent back as a query parameter or as a field of the body. */
  | (PageParameter & { readonly kind: 'token'; readonly next: (page: Page) => string | null | undefined })
  /** Counts records: asks for the next offset until a page holds fewer than `limit`. */
  | (PageParameter & { readonly kind: 'offset'; readonly limit: number; readonly count: (page: Page) => number })
  /** Follows the Link header's rel="next" (RFC 8288) within the same origin. */
  | { readonly kind: 'link' }

/** The way out of a connector: one base URL, credentials added, hosts checked, retries and typed errors done. */
export interface Http {
  request(request: Request, options?: CallOptions): Promise<Reply>
  /** The reply's JSON, checked by the schema; integers beyond 2^53 arrive as bigint. An empty body reads as `{}`. */
  json<T>(request: JsonRequest, schema: z.ZodType<T>, options?: CallOptions): Promise<T>
  /** Every page, one after the other, each checked by the schema. */
  pages<T>(request: JsonRequest, schema: z.ZodType<T>, paging: Paging<T>, options?: CallOptions): AsyncIterable<T>
  /** The reply's body as it is, decompressed and whole: a page for a reader that makes no objects. */
  bytes(request: JsonRequest, options?: CallOptions): Promise<BytesReply>
  /** A URL that came in a reply: its host is checked, and it is fetched without credentials. */
  foreign(url: string, options?: CallOptions): Promise<Reply>
}

export interface HttpOptions {
  /** For one attempt, from sending to the last byte of a JSON reply, or to the headers of a streamed one. Default 30,000. */
  readonly timeoutMs?: number
  /** For the whole call, its waits and repeats included; a streamed reply ends it with its headers. Default: the policy's `deadlineMs`. */
  readonly deadlineMs?: number
  /** The largest JSON reply in bytes, before and after decompression. Default 64 MiB. */
  readonly maxReplyBytes?: number
  /** The header under which the partner takes an idempotency key: writes then carry one, the same in every attempt, and are safe to repeat. */
  readonly idempotencyHeader?: string
  /** Client certificate and key (PEM texts) of this way out, in place of the authorizer's: for token endpoints with mutual TLS. */
  readonly certificate?: Certificate
  /** Reads the partner's own error format: its code, its words, and which of our codes that is where the status does not say. */
  readonly explain?: (failure: { readonly status: number; readonly headers: Headers; readonly body: string }) =>
    | {
        readonly code?: ErrorCode | undefined
        readonly partnerCode?: string | undefined
        readonly reason?: string | undefined
      }
    | undefined
}
/** PEM texts, for mutual TLS. */
export interface Certificate {
  readonly cert: string
  readonly key: string
}
export type OpenHttp = (baseUrl: string, options?: HttpOptions) => Http

export interface SocketOptions extends CallOptions {
  /** Until the socket is there; default: the policy's `connectTimeoutMs`. */
  readonly timeoutMs?: number
}
/** A socket on which nothing was sent yet; its owner ends it. */
export interface OpenedSocket {
  readonly socket: Duplex
  /** What TLS over it has to keep to, as the host says: `ca` is trusted besides the well-known ones. */
  readonly tls: { readonly minVersion: 'TLSv1.2' | 'TLSv1.3'; readonly ca?: string }
}
/** The way out for protocols that are not HTTP: a socket to one of the manifest's hosts (`'{host}:{port}'`), its address checked as those of requests are. Limits, retries and proxies are not applied. */
export type OpenSocket = (
  address: { readonly host: string; readonly port: number },
  options?: SocketOptions,
) => Promise<OpenedSocket>
