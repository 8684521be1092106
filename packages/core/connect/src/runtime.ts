import type { Effect, ErrorCode, Shared } from '@ecokit/contracts'
import type { NetworkRuntime } from '@ecokit/http'

/** One call through a connection, told when it has ended. It holds no input, no output and no secret. */
export interface CallEvent {
  /** The connection's name. */
  readonly partner: string
  readonly kind: 'check' | 'call' | 'read' | 'write' | 'discover'
  /** `capability.operation`, the stream, the sink, or the kind itself. */
  readonly name: string
  readonly effect: Effect
  /** Epoch milliseconds. */
  readonly startedAt: number
  readonly durationMs: number
  /** Why it failed; absent when it did not. */
  readonly code?: ErrorCode
  /** HTTP requests sent for this call, repeats counted. */
  readonly requests: number
  /** Records or items that came or went; absent for a call that answers once. */
  readonly records?: number
}

/** What surrounds a connection: the network's own settings, and who watches. All optional. */
export interface Runtime extends NetworkRuntime {
  /** Called once for each call when it has ended; what it throws is ignored. */
  readonly observer?: (event: CallEvent) => void
  /** Where the auth scheme keeps its tokens; must seal them if it is more than memory. Default: memory, for this connection only. */
  readonly tokens?: Shared
  /**
   * Asked for the credentials anew after a 401 that the auth scheme cannot mend, once for all calls that wait. Where they differ from those in use, they take over and each call is tried once more: so
   * a partner's credential is rotated without a failed call.
   */
  readonly renewCredentials?: () => Promise<unknown>
  /** How long `check()` waits for the partner. Default 10,000. */
  readonly checkTimeoutMs?: number
}
