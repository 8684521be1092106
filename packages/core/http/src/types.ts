import type { Dispatcher } from 'undici'
import type {
  Authorizer,
  CallOptions,
  CircuitState,
  ErrorCode,
  OpenHttp,
  OpenSocket,
  Policy,
  Shared,
} from '@ecokit/contracts'
import type { Guard } from './guard.ts'

export interface Clock {
  /** Epoch milliseconds. */
  readonly now: () => number
  /** Rejects as soon as the signal is aborted. */
  readonly sleep: (ms: number, signal?: AbortSignal) => Promise<void>
  /** Does the work after that time unless the returned function is called before. Absent: time limits run on the machine's own timers, other waits on `sleep`. */
  readonly after?: (ms: number, work: () => void) => () => void
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

/** One line of a log, as data; it holds no secret and no query. */
export interface LogLine {
  /** Epoch milliseconds. */
  readonly time: number
  readonly level: 'debug' | 'info' | 'warn'
  /** `request`: one exchange; `repeat`: a call is sent again; `hold`: the partner asked all to wait; `circuit`: it opened or closed. */
  readonly event: 'request' | 'repeat' | 'hold' | 'circuit'
  readonly partner: string
  /** The sentence for people. */
  readonly message: string
  readonly method?: string
  readonly host?: string
  /** Without the query. */
  readonly path?: string
  readonly status?: number
  readonly code?: ErrorCode
  /** Counts from 1. */
  readonly attempt?: number
  readonly durationMs?: number
  readonly waitMs?: number
  readonly circuit?: CircuitState
}

export interface NetworkRuntime {
  /** Used instead of our own pool, and never closed by us: a proxy agent, a mock. */
  readonly dispatcher?: Dispatcher
  readonly clock?: Clock
  /** From 0 up to, and without, 1; the jitter of the waits between attempts. */
  readonly random?: () => number
  /** The partner's guard, shared by all its connections in this process. Default: one of this connection's own, by its policy. */
  readonly guard?: Guard
  /** The host's word about pace and protection: over the manifest's, field by field. Not for a given `guard`, which has its own. */
  readonly policy?: Policy
  /** What this process shares with others: rate budgets, and replies where `cache` says so. Default: nothing. */
  readonly shared?: Shared
  /** Gets one line for each request (`debug`) and for each wait, repeat and refusal; free of secrets. What it throws is ignored. */
  readonly log?: (line: LogLine) => void
  /** Not for a given `dispatcher`, which has its own. */
  readonly tls?: {
    /** Default TLSv1.3. */
    readonly minVersion?: 'TLSv1.2' | 'TLSv1.3'
    /** PEM text of a certificate authority to trust besides the well-known ones. */
    readonly ca?: string
  }
  /** Offers HTTP/2 to servers that speak TLS; HTTP/1.1 where they do not take it. Default false: for calls of a few kilobytes HTTP/1.1 costs less. */
  readonly http2?: boolean
  /** `false`: none; a URL: this one for every host but this machine. Default: what `environment` says in HTTPS_PROXY, HTTP_PROXY and NO_PROXY, in either case. */
  readonly proxy?: false | string
  /** Where the proxy variables are read. Default: process.env. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /**
   * Which hosts may lead to this machine and to private networks (RFC 1918, 100.64/10, fc00::/7). `configured`, the default: addresses and `localhost` that the config gives, and names
   * that it gives below .internal, .local, .corp and their like; `refuse`: none, for configs that strangers write; a list: these names too (`*.corp.example.com` is all below it); `allow`: every
   * declared host. Link-local, metadata and reserved addresses are only reached where the config gives the address itself.
   */
  readonly privateNetworks?: 'configured' | 'refuse' | 'allow' | readonly string[]
  /** Resolves names instead of the system; its answers are checked like the system's. */
  readonly lookup?: (name: string) => Promise<readonly { readonly address: string }[]>
  /** Keeps replies to JSON reads as their headers allow (RFC 9111), apart for each credential; `shared`: in `NetworkRuntime.shared` too. Default off. */
  readonly cache?: boolean | { readonly maxBytes?: number; readonly shared?: boolean }
  /** Called once for each exchange; what it throws is ignored. */
  readonly observe?: (exchange: Exchange) => void
}

export interface NetworkOptions {
  /** The connection's name: every message begins with it. */
  readonly partner: string
  /** The manifest's hosts. */
  readonly hosts: readonly string[]
  /** The auth scheme's hosts: only the way out without credentials, which the authorizer gets, may go there. */
  readonly tokenHosts?: readonly string[]
  readonly config: unknown
  /** A function gets a way out without credentials, for token endpoints. */
  readonly authorizer?: Authorizer | ((anonymous: OpenHttp) => Authorizer) | undefined
  /** The manifest's policy. */
  readonly policy?: Policy | undefined
  /** After a 401 that the authorizer could not mend: another authorizer to try once more with, or undefined where there is none. */
  readonly replaceAuthorizer?: (refused: Authorizer, options?: CallOptions) => Promise<Authorizer | undefined>
  /** Aborted when the owner is closed: ends all calls. Calls that are given this very signal cost no listener. */
  readonly closed?: AbortSignal
  /** Values that may show up in no error and no exchange, in no encoding; those of under 4 characters are left alone. */
  readonly secrets?: readonly string[]
  readonly runtime?: NetworkRuntime | undefined
}

export interface Network {
  readonly http: OpenHttp
  readonly socket: OpenSocket
  /** True where TLS 1.2 is allowed, for health. */
  readonly oldTls: boolean
  /** Ends what is under way with `cancelled` and frees the sockets; calls after it fail with `cancelled`. */
  close(): Promise<void>
  /** The guard that its calls pass. */
  readonly guard: Guard
  /** Hides these values too from now on, as `secrets` are. */
  hide(secrets: readonly string[]): void
  /** How many requests were sent so far. */
  requests(): number
}
