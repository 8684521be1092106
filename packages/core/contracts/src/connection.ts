import type { z } from 'zod'
import type { Api, CallOptions } from './operations.ts'
import type { AnyRecord, Batch, DatasetName, Discovered, ReadOptions, Stream, WriteOptions, Writer } from './data.ts'
import type { ErrorCode } from './errors.ts'
import type { EventSource } from './events.ts'
import type { CredentialsOf, If, Manifest, Part, PartState, RowOf } from './connector.ts'
import type { AuthStatus, Interaction } from './auth.ts'
import type { Http, HttpOptions } from './network.ts'
import type { CircuitState } from './shared.ts'

export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy' | 'unknown'
/** The outcome of a check. `degraded`: reached, but a part is denied or unavailable. */
export interface Health {
  readonly status: HealthStatus
  /** Why it is not healthy. */
  readonly code?: ErrorCode
  /** The sentence for people that belongs to the code. */
  readonly message?: string
  readonly latencyMs?: number
  /** ISO 8601. */
  readonly checkedAt: string
  readonly account?: string
  readonly version?: string
  readonly parts?: Readonly<Record<string, PartState>>
  /** Of the calls to this partner in this process; absent where nothing goes over the network. */
  readonly circuit?: CircuitState
  /** True where the connection was told to speak TLS 1.2 with the partner. */
  readonly oldTls?: boolean
}

/** A connection to a partner of unknown make: what flow, hosts and tools hold. Optional members are there exactly when the manifest has the section. */
export interface AnyConnection extends AsyncDisposable {
  readonly name: string
  readonly manifest: Manifest
  /** Never throws for a fault of the partner: that is what `unhealthy`, `code` and `message` are for. Throws `cancelled` only. */
  check(options?: CallOptions): Promise<Health>
  /** The way out, for calls that no capability covers yet: same credentials, limits and checks. Default base: the manifest's first host. */
  http(baseUrl?: string, options?: HttpOptions): Http
  /** What the auth scheme can do beside authorising; members are there exactly where the scheme has them. */
  readonly auth: {
    status?(options?: CallOptions): Promise<AuthStatus>
    login?(interaction: Interaction): Promise<AuthStatus>
    logout?(options?: CallOptions): Promise<void>
  }
  /** Calls an operation by name; a sequence comes back as an AsyncIterable. Throws `unsupported` when there is none of that name. */
  call(
    capability: string,
    operation: string,
    input: unknown,
    options?: CallOptions,
  ): Promise<unknown> | AsyncIterable<unknown>
  /** A declared stream, or a discovered one by its name; each record checked by the stream's schema. */
  read?(stream: string, options?: ReadOptions): AsyncIterable<Batch<AnyRecord>>
  discover?(options?: CallOptions): AsyncIterable<Discovered>
  write?(sink: string, options: WriteOptions): Promise<Writer<AnyRecord>>
  /** What lineage calls a stream, or a table of a sink; undefined where the manifest or the config does not say. */
  dataset?(table: string, sink?: string): DatasetName | undefined
  /** Frees sockets and files; calls after it fail with `cancelled`. */
  close(): Promise<void>
}

type Streams<M> = Part<M, 'streams'>
type ReadStreams<M> = {
  read<N extends keyof Streams<M> & string>(
    stream: N,
    options?: ReadOptions,
  ): AsyncIterable<Batch<Streams<M>[N] extends Stream<infer R> ? z.output<R> : never>>
}
type ReadDiscovered = {
  read(stream: string, options?: ReadOptions): AsyncIterable<Batch<AnyRecord>>
  discover(options?: CallOptions): AsyncIterable<Discovered>
}
type WriteSinks<M> = {
  write<N extends keyof Part<M, 'sinks'> & string>(
    sink: N,
    options: WriteOptions,
  ): Promise<Writer<RowOf<Part<M, 'sinks'>[N]>>>
}
/** A connection with exactly the members that its connector lists. */
export type Connection<M> = Omit<AnyConnection, 'read' | 'discover' | 'write'> & {
  readonly [N in keyof Part<M, 'provides'>]: Api<Part<M, 'provides'>[N]>
} & If<M, 'streams', ReadStreams<M>> &
  If<M, 'discovers', ReadDiscovered> &
  If<M, 'sinks', WriteSinks<M>> &
  If<M, 'events', { readonly events: EventSource<Part<M, 'events'>> }>

/** Who to connect to: the partner's name, its config and its credentials (left out where the connector has no auth). */
export type ConnectAs<M extends Manifest> = {
  /** Default: the connector's id. */
  readonly name?: string
  readonly config: z.input<M['config']>
} & ([keyof Part<M, 'auth'>] extends [never] ? {} : { readonly credentials: CredentialsOf<M> })
