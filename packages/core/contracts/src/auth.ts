import type { z } from 'zod'
import type { Certificate, OpenHttp } from './network.ts'
import type { CallOptions } from './operations.ts'
import type { Shared } from './shared.ts'

/** A request as an authorizer sees it, just before it is sent; it changes `headers` or `url`. */
export interface Signable {
  readonly method: string
  readonly url: URL
  readonly headers: Headers
  readonly body: Uint8Array | 'stream' | undefined
}

export interface AuthContext {
  /** The connection's name: part of every key in `tokens`, and the beginning of every message. */
  readonly partner: string
  /** The connector's config, already checked by its schema. */
  readonly config: unknown
  /** Without credentials, under the same egress rules, to the scheme's own hosts too: for token endpoints. */
  readonly http: OpenHttp
  /** Where tokens live, shared by all processes that use this partner; sealed wherever it is more than memory. */
  readonly tokens: Shared
  /** Epoch milliseconds. */
  now(): number
  /** Rejects when the signal is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** From 0 up to, and without, 1. */
  random(): number
}
/** How a person proves who they are: shows the address (and the code to type there, for the device flow). */
export interface Interaction extends CallOptions {
  show(step: { readonly url: string; readonly code?: string; readonly expiresAt?: number }): void | Promise<void>
}
/** What may be said about tokens; never a token. Times are epoch milliseconds. */
export interface AuthStatus {
  /** `missing`: nobody has logged in, or nothing was fetched yet. */
  readonly state: 'ready' | 'expired' | 'missing' | 'reauthorization_required'
  readonly expiresAt?: number
  readonly refreshedAt?: number
  /** Why a new login is needed, as the issuer said it. */
  readonly reason?: string
}
export interface Authorizer {
  /** Runs last, once for each attempt. */
  authorize(request: Signable, options?: CallOptions): void | Promise<void>
  /** After a 401: true when the credential was renewed and the call should be tried once more. */
  refused?(options?: CallOptions): Promise<boolean>
  /** For mutual TLS. */
  readonly certificate?: Certificate
  /** Absent where there are no tokens that could expire. */
  status?(options?: CallOptions): Promise<AuthStatus>
  /** Runs the interactive flow and keeps what it gives; absent where no person takes part. */
  login?(interaction: Interaction): Promise<AuthStatus>
  /** Forgets the tokens. */
  logout?(options?: CallOptions): Promise<void>
  /** Waits for a token exchange that is under way, which the closing of the network would cut in two; runs before it. */
  close?(): Promise<void>
}
/** A way to prove who we are, as data: what it needs, and how a request is authorised with it. */
export interface AuthScheme<C extends z.ZodObject = z.ZodObject> {
  /** The field's own name for the kind: `none`, `api_key`, `bearer`, `basic`, … */
  readonly kind: string
  readonly credentials: C
  /** Where tokens come from, in the form of the manifest's hosts: only the scheme may go there, never a call of the connector. */
  readonly hosts?: readonly string[]
  /** True where a person has to log in (`ecokit login`) before it works. */
  readonly interactive?: boolean
  /** The connector itself receives these credentials; the conformance report lists it. */
  readonly exposed?: boolean
  open(credentials: z.output<C>, context: AuthContext): Authorizer
}
