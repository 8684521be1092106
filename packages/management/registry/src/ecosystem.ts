import type { Policy, QualityRule } from '@ecokit/contracts'
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

/** What happens when the schema of a stream is no longer that of the last run; absent: `evolve`. */
export interface SchemaContractEntry {
  readonly tables?: ChangeMode | undefined
  readonly columns?: ChangeMode | undefined
  readonly types?: ChangeMode | undefined
}
type ChangeMode = 'evolve' | 'freeze' | 'discard_row' | 'discard_value'

/** What the file says about one stream of a pipeline, in the words of the sync engine. */
export interface PipelineStreamEntry {
  readonly stream: string
  readonly table?: string
  readonly mode?: 'full_refresh' | 'incremental'
  readonly disposition?: 'append' | 'overwrite' | 'merge'
  readonly lagMs?: number
  readonly columns?: readonly string[]
  /** Columns by the fields that they come from. */
  readonly rename?: Readonly<Record<string, string>>
  /** Types by column, after renaming. */
  readonly cast?: Readonly<Record<string, CastType>>
  readonly deletes?: 'hard' | 'soft' | 'ignore'
  readonly contract?: SchemaContractEntry
  readonly allowDuplicates?: boolean
  readonly quality?: readonly QualityRule[]
}
type CastType =
  'string' | 'integer' | 'number' | 'boolean' | 'timestamp' | 'date' | 'json' | `decimal(${number},${number})`

/** When a pipeline runs by the clock. */
export interface ScheduleEntry {
  readonly cron: string
  /** Absent: UTC. */
  readonly timezone?: string
  readonly jitterMs?: number
  /** Absent: `catch_up`. */
  readonly missed?: 'skip' | 'catch_up'
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
  /** Of its streams that do not say it themselves, and of streams that it has not seen before. */
  readonly contract?: SchemaContractEntry
  /** Absent: one stream at a time. */
  readonly parallel?: number
  /** After how many bytes rows are committed; 0: with every page. Absent: as often as costs little. */
  readonly commitBytes?: number
  /** Absent together with `schedule`: runs only when asked. */
  readonly everyMs?: number
  readonly schedule?: ScheduleEntry
  /** Absent: never. */
  readonly reconcileEveryMs?: number
}

/** Where lineage is written. */
export interface LineageEntry {
  readonly file: string
  readonly namespace: string
  /** Where events are posted to, path and all. Absent: nowhere. */
  readonly url?: string
  readonly credentials?: string | CredentialsReference
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
  readonly lineage: LineageEntry
}
