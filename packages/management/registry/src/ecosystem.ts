import type { Policy } from '@ecokit/contracts'
import type { Tier } from './shape.ts'

/** A way to log in: the scheme's name and its fields; secret ones are `${secret:name}`, `${env:NAME}` or `${file:path}` as text. */
export interface CredentialsReference {
  readonly scheme: string
  readonly [field: string]: unknown
}

/** An entry of `credentials`. */
export interface NamedReference {
  readonly name: string
  readonly reference: CredentialsReference
  /** Where a partner of the API may send it. Absent: only where the file's own partners send it. */
  readonly hosts?: readonly string[]
}

/** What a partner's `network` says, as it was written: the runtime options of its connections. */
export interface NetworkEntry {
  readonly privateNetworks?: 'configured' | 'refuse' | 'allow' | readonly string[] | undefined
  readonly http2?: boolean | undefined
  /** A URL without credentials, or a reference for the whole of one. */
  readonly proxy?: false | string | undefined
  readonly cache?:
    boolean | { readonly maxBytes?: number | undefined; readonly shared?: boolean | undefined } | undefined
  readonly tls?:
    | {
        readonly minVersion?: 'TLSv1.2' | 'TLSv1.3' | undefined
        /** The path of a PEM file, relative to the file. */
        readonly ca?: string | undefined
      }
    | undefined
}

/** A partner as the file describes it, checked. */
export interface PartnerEntry {
  readonly name: string
  /** The connector's id. */
  readonly connector: string
  /** As it was written; the connector's schema has accepted it. */
  readonly config: Readonly<Record<string, unknown>>
  /** The name of an entry in `credentials`, the entry itself, or absent. */
  readonly credentials?: string | CredentialsReference
  readonly tier: Tier
  readonly owner?: string
  readonly tags: readonly string[]
  /** Days as YYYY-MM-DD. */
  readonly contract: { readonly start?: string; readonly end?: string }
  readonly check: { readonly everyMs: number; readonly timeoutMs: number }
  /** What it says about the pace of calls; absent where it says nothing. It wins over the connector's, field by field. */
  readonly policy?: Policy
  /** How its connections use the network; only the file can say it. */
  readonly network?: NetworkEntry
}

export interface PipelineStreamEntry {
  readonly stream: string
  readonly table?: string
  readonly mode?: 'full_refresh' | 'incremental'
  readonly disposition?: 'append' | 'overwrite' | 'merge'
  readonly lagMs?: number
}

/** A pipeline as the file describes it, checked. */
export interface PipelineEntry {
  readonly name: string
  /** The partner's name. */
  readonly source: string
  /** The partner's name, without the sink's. */
  readonly sink: string
  readonly sinkName: string
  /** Absent: every stream of the source. */
  readonly streams?: readonly PipelineStreamEntry[]
  /** Absent: runs only when asked. */
  readonly everyMs?: number
  /** Absent: never. */
  readonly reconcileEveryMs?: number
}

/** A whole `ecosystem.yaml`, checked, defaults filled in. */
export interface Ecosystem {
  readonly version: 1
  /** What the file is called in messages. */
  readonly filename: string
  readonly credentials: readonly NamedReference[]
  readonly partners: readonly PartnerEntry[]
  readonly pipelines: readonly PipelineEntry[]
  readonly server: { readonly host: string; readonly port: number }
  readonly lineage: { readonly file: string; readonly namespace: string }
}
