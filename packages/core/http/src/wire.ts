import type { Dispatcher } from 'undici'
import type { Authorizer, CallOptions, Certificate, HttpOptions } from '@ecokit/contracts'
import type { Cache } from './cache.ts'
import type { About } from './failure.ts'
import type { Guard } from './guard.ts'
import type { Host } from './hosts.ts'
import type { Redact } from './redact.ts'
import type { Stop, Timer } from './stop.ts'
import type { Watched } from './telemetry.ts'
import type { Clock, NetworkRuntime } from './types.ts'

/** What all calls of one connection share. */
export interface Wire {
  readonly partner: string
  readonly hosts: readonly Host[]
  readonly secrets: readonly string[]
  readonly redact: Redact
  readonly clock: Clock
  /** A new UUID, for idempotency keys. */
  readonly uuid: () => string
  readonly guard: Guard
  readonly timer: Timer
  readonly observe: NetworkRuntime['observe']
  readonly log: NetworkRuntime['log']
  /** The origins that a trace may be carried on to: the manifest's own. */
  readonly traced: readonly Host[]
  /** Another authorizer after a 401, or undefined where there is none. */
  readonly replace:
    ((refused: Authorizer, options: CallOptions | undefined) => Promise<Authorizer | undefined>) | undefined
  /** The origin's pool; there is one for each certificate that is shown. */
  readonly dispatcher: (origin: string, certificate: Certificate | undefined) => Dispatcher | Promise<Dispatcher>
  /** What is under way. */
  readonly stops: Set<Stop>
  /** The owner's signal, whose end the network sees to by itself. */
  readonly closed: AbortSignal | undefined
  readonly closing: AbortController
  readonly counts: { requests: number }
  /** Present where replies are kept. */
  readonly cache: Cache | undefined
}

/** Where one request goes, and what with; a redirect makes another. */
export interface Target {
  readonly origin: string
  /** With the query. */
  readonly path: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Absent where no credentials may go. */
  readonly authorizer: Authorizer | undefined
  /** Absent where no client certificate may be shown. */
  readonly certificate: Certificate | undefined
}

/** One call, ready to be sent as often as it takes. */
export interface Call extends Target {
  readonly method: string
  readonly body: Uint8Array | ReadableStream<Uint8Array> | undefined
  /** Which failures allow another attempt: those that any repeatable call may have, for a read also a plain 500. */
  readonly repeat: 'read' | 'idempotent' | 'never'
  /** The reply's body outlives the call. */
  readonly streamed: boolean
  readonly timeoutMs: number
  /** For the whole call; absent: the policy's. */
  readonly deadlineMs: number | undefined
  /** The largest body that is collected, in bytes. */
  readonly limit: number
  readonly explain: HttpOptions['explain']
}

/** One request on the wire. */
export interface Hop {
  readonly about: About
  /** With the query, without what an authorizer added. */
  readonly url: string
  /** False where nobody observes, and then times are not taken. */
  seen: boolean
  startedAt: number
  /** When it was sent, by the timer's clock. */
  ticks: number
  watched: Watched | undefined
  /** What was sent, the authorizer's additions included; the target until then. */
  sent: Target
  /** What the guard gave for its slot. */
  admitted: number
  status: number | undefined
  requestBytes: number
  replyBytes: number
}
