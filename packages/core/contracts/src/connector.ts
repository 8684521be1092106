import type { z } from 'zod'
import type { ApiImplementation, CallOptions, Capability } from './operations.ts'
import type {
  AnyRecord,
  Batch,
  DatasetName,
  Discovered,
  Reader,
  ReadOptions,
  Sink,
  Stream,
  WriteOptions,
  Writer,
} from './data.ts'
import type { EventSource, EventTypes } from './events.ts'
import type { AuthScheme } from './auth.ts'
import type { OpenHttp, OpenSocket } from './network.ts'
import type { RestStream } from './rest.ts'
import type { Policy } from './shared.ts'

/** Names that a connection has itself; a capability may not take them. */
export type Reserved =
  | 'name'
  | 'manifest'
  | 'check'
  | 'http'
  | 'auth'
  | 'call'
  | 'read'
  | 'write'
  | 'discover'
  | 'dataset'
  | 'events'
  | 'close'
  | 'then'

/** Everything about a connector that can be known without connecting. */
export interface Manifest {
  /** Lower case, digits and dashes; what `ecosystem.yaml` says after `connector:`. */
  readonly id: string
  readonly title: string
  /** One sentence for lists. */
  readonly description?: string
  /** A strict object; paths, URLs and switches, never a secret. */
  readonly config: z.ZodType
  /** Every host it talks to, as data over its config (`'{trackingUri}'`, `'api.{site}'`): the egress rule, and the only places that credentials may go. */
  readonly hosts: readonly string[]
  /** What the partner's published limits ask for; a host may say otherwise for one connection. */
  readonly policy?: Policy
  readonly auth?: Readonly<Record<string, AuthScheme>>
  readonly provides?: Readonly<Record<string, Capability>> & Partial<Readonly<Record<Reserved, never>>>
  readonly streams?: Readonly<Record<string, Stream>>
  /** True where tables are found at run time. */
  readonly discovers?: boolean
  /** What lineage calls the data behind streams, discovered tables and sinks. Default: `<connector>://<connection>` and the name. */
  readonly dataset?: DatasetName
  readonly sinks?: Readonly<Record<string, Sink>>
  readonly events?: EventTypes
}

export type Part<M, K extends string> = M extends Readonly<Record<K, infer V extends object>> ? V : {}
export type If<M, K extends string, T> = M extends Readonly<Record<K, object | true>> ? T : {}
type Row<R> = unknown extends R ? AnyRecord : R // a sink without a schema takes records of any shape
export type RowOf<S> = S extends Stream<infer R> | Sink<infer R> ? Row<z.input<R>> : never
type Fields<T> = string extends keyof T ? {} : T // z.object({}) reads as Record<string, never>, which forbids `scheme` too

export type ConfigOf<M extends Manifest> = z.output<M['config']>
type SchemeOf<M> = keyof Part<M, 'auth'> & string
type Given<S> = S extends AuthScheme<infer C> ? Fields<z.input<C>> : never
type Exposed<S> = S extends AuthScheme<infer C> & { readonly exposed: true } ? Fields<z.output<C>> : {}
/** The credentials that a connector takes: a union over its schemes, told apart by `scheme`. */
export type CredentialsOf<M> = { [N in SchemeOf<M>]: { readonly scheme: N } & Given<Part<M, 'auth'>[N]> }[SchemeOf<M>]
type OpenedOf<M> = { [N in SchemeOf<M>]: { readonly scheme: N } & Exposed<Part<M, 'auth'>[N]> }[SchemeOf<M>]

export interface Opening<M extends Manifest> {
  readonly config: ConfigOf<M>
  readonly http: OpenHttp
  /** For protocols that are not HTTP; absent where the host's copy of connect is older than this. */
  readonly socket?: OpenSocket
  /** The chosen scheme's name; with its fields only where the scheme is `exposed`. */
  readonly credentials: OpenedOf<M>
  /** The connection's name, for error messages. */
  readonly name: string
}

type Streams<M> = Part<M, 'streams'>
/** The streams that the connector's own code reads. */
type Coded<M> = {
  [N in keyof Streams<M> as Streams<M>[N] extends { readonly rest: RestStream } ? never : N]: Reader<
    RowOf<Streams<M>[N]>
  >
}

/** Those that are declared with `rest`, which connect reads: the session must leave them out. */
type Declared<M> = {
  readonly [N in keyof Streams<M> as Streams<M>[N] extends { readonly rest: RestStream } ? N : never]?: never
}

export type PartState = 'ok' | 'denied' | 'unavailable'
/** What a check saw; `parts` names capabilities, streams or sinks that these credentials may not use. */
export interface Checked {
  /** Who the partner says we are. */
  readonly account?: string
  /** The partner's own version. */
  readonly version?: string
  readonly parts?: Readonly<Record<string, PartState>>
}

/** What a connector's `open` gives back: exactly what its manifest declares. */
export type Session<M> = {
  /** The cheapest call that proves reach and credentials; throws what went wrong. */
  check(options: CallOptions): Promise<Checked>
  close?(): Promise<void>
} & If<
  M,
  'provides',
  { readonly provides: { readonly [N in keyof Part<M, 'provides'>]: ApiImplementation<Part<M, 'provides'>[N]> } }
> &
  If<M, 'streams', keyof Coded<M> extends never ? {} : { readonly read: Readonly<Coded<M>> & Declared<M> }> &
  If<
    M,
    'discovers',
    {
      discover(options: CallOptions): AsyncIterable<Discovered>
      readDiscovered(name: string, options: ReadOptions): AsyncIterable<Batch<Readonly<Record<string, unknown>>>>
    }
  > &
  If<
    M,
    'sinks',
    {
      readonly write: {
        readonly [N in keyof Part<M, 'sinks'>]: (options: WriteOptions) => Promise<Writer<RowOf<Part<M, 'sinks'>[N]>>>
      }
    }
  > &
  If<M, 'events', { readonly events: EventSource<Part<M, 'events'>> }>

/** A connector of unknown make: what a registry, a CLI or an editor holds. Every Connector<M> is one, soundly: nothing can be passed to `never`. */
export interface AnyConnector {
  /** Stays 1 when something optional is added; hosts accept 1 and 2 for a year when 2 comes. */
  readonly contract: 1
  readonly manifest: Manifest
  readonly open: (opening: never) => object
}
export interface Connector<M extends Manifest> extends AnyConnector {
  readonly manifest: M
  /** Does no I/O. */
  readonly open: (opening: Opening<M>) => Session<M>
}
/** Makes a connector of its manifest and its implementation; a section that the contract does not know does not compile. */
export const defineConnector = <const M extends Manifest>(
  manifest: M & Record<Exclude<keyof M, keyof Manifest>, never>,
  open: (opening: Opening<M>) => Session<M>,
): Connector<M> => ({ contract: 1, manifest, open })
