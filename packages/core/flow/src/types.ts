import type {
  AnyConnection,
  DatasetName,
  Deletes,
  Disposition,
  ErrorCode,
  JsonSchema,
  QualityRule,
} from '@ecokit/contracts'
import type { Store } from '@ecokit/store'

/** What happens when a stream's schema is no longer that of the last run. `evolve`: the table follows. `freeze`: the stream stops until somebody accepts the change. `discard_row`: records that hold something new are put aside. `discard_value`: what is new is left out. */
export type ChangeMode = 'evolve' | 'freeze' | 'discard_row' | 'discard_value'
/** By what has changed; each defaults to `evolve`. A lost cursor or primary key always stops the stream. */
export interface SchemaContract {
  /** Streams that the pipeline has not seen before, where it names none. */
  readonly tables?: ChangeMode | undefined
  readonly columns?: ChangeMode | undefined
  readonly types?: ChangeMode | undefined
}
/** `decimal(18,4)` and the like; text that is no such value is put aside. */
export type CastType =
  'string' | 'integer' | 'number' | 'boolean' | 'timestamp' | 'date' | 'json' | `decimal(${number},${number})`

/** What is wanted of one stream; everything but its name has a default, see `planStreams`. */
export interface PipelineStream {
  readonly stream: string
  /** The sink's table; default the stream's name. */
  readonly table?: string | undefined
  readonly mode?: 'full_refresh' | 'incremental' | undefined
  readonly disposition?: Disposition | undefined
  /** How far behind its checkpoint an incremental read starts again; default the stream's own. */
  readonly lagMs?: number | undefined
  /** Lets `append` write into a sink that may store a batch twice after a crash. */
  readonly allowDuplicates?: boolean | undefined
  /** The fields that are read; default all. Primary key and cursor are always among them. */
  readonly columns?: readonly string[] | undefined
  /** Columns by the fields that they come from. */
  readonly rename?: Readonly<Record<string, string>> | undefined
  /** Types by column, after renaming. */
  readonly cast?: Readonly<Record<string, CastType>> | undefined
  /** What happens to rows that are gone at the source, as far as a merge can know; `ignore`: they stay as they are. Default `hard`. */
  readonly deletes?: Deletes | 'ignore' | undefined
  readonly contract?: SchemaContract | undefined
  /** Beside those that the connector declares; fields are columns after renaming. */
  readonly quality?: readonly QualityRule[] | undefined
}

/** Streams of one source into one sink. */
export interface Pipeline {
  readonly name: string
  readonly source: AnyConnection
  readonly sink: AnyConnection
  /** What the source reads from, such as the server's address: a checkpoint of another origin is refused, because it says nothing about this one. Absent: not looked at. */
  readonly origin?: string | undefined
  /** Which of the sink connector's sinks. */
  readonly sinkName: string
  /** Default: all streams of the source. */
  readonly streams?: readonly (string | PipelineStream)[] | undefined
  /** How long after a complete pass an incremental merge reads everything again, to find late edits and deletes; undefined: never. */
  readonly reconcileEveryMs?: number | undefined
  /** How many streams are synced at a time. Default 1. */
  readonly parallel?: number | undefined
  /** How many requests the source has made so far (count them with the `observe` of connect's Runtime); without it the streams' `requests` stay 0. Of streams that are synced at a time only the sum is exact. */
  readonly requests?: (() => number) | undefined
  /** For streams that say nothing else. */
  readonly contract?: SchemaContract | undefined
}

export type StreamStatus = 'waiting' | 'running' | 'completed' | 'failed' | 'cancelled'
export type RunStatus = 'running' | 'completed' | 'failed' | 'cancelled'
/** `reconcile`: everything was read again, merged, and rows that the source no longer has were removed. */
export type PassMode = 'full_refresh' | 'incremental' | 'reconcile' | 'backfill'
export type Trigger = 'manual' | 'schedule'
/** A window of the cursor, in the cursor's own form: `since` inclusive, `until` exclusive. */
export interface Window {
  readonly since?: string | undefined
  readonly until?: string | undefined
}

/** What was counted; `read = written + quarantined + deduplicated` holds at every checkpoint. */
export interface Counts {
  readonly read: number
  readonly written: number
  readonly quarantined: number
  /** Records with the same key as another of their batch. */
  readonly deduplicated: number
  readonly deleted: number
  /** About how many bytes of records were read: exact for encoded batches, estimated from a sample for objects. */
  readonly bytes: number
}
export const noCounts: Counts = { read: 0, written: 0, quarantined: 0, deduplicated: 0, deleted: 0, bytes: 0 }

export interface Failure {
  readonly code: ErrorCode
  readonly message: string
}

/** One way in which a stream's schema is not what the pipeline has agreed to. `field` is a dotted path (`address.zip`, `tags[]`); for keys and cursors `before` and `after` are their fields. */
export interface SchemaChange {
  readonly kind: 'table_added' | 'column_added' | 'column_removed' | 'type_changed' | 'key_lost' | 'cursor_lost'
  readonly field: string
  readonly before?: string
  readonly after?: string
}

/** What a pipeline has agreed to hold for a stream. */
export interface StreamContract {
  readonly pipeline: string
  readonly stream: string
  /** Counts up from 1 with every change that was let through. */
  readonly version: number
  /** JSON Schema of the table, as it is after columns, renaming and casts. */
  readonly schema: JsonSchema
  readonly primaryKey: readonly string[]
  readonly cursor?: string
  /** Why the stream waits for somebody; undefined: it does not. */
  readonly paused: readonly SchemaChange[] | undefined
  /** ISO 8601. */
  readonly updatedAt: string
}

/** What a pass over everything of a stream can tell of its end by the one before. Of any other pass nobody knows, and both are absent. */
export interface Outlook {
  /** How many records the last complete pass over everything of the stream read; this one may well read more. */
  readonly expected?: number
  /** About how many milliseconds are left at the pace so far: while it runs, from its first half second on, until it has read what was expected. */
  readonly leftMs?: number
}

/** One stream of a run: live while it runs, its account of what was committed afterwards. Times are ISO 8601. */
export interface StreamRun extends Counts, Outlook {
  readonly stream: string
  readonly table: string
  readonly status: StreamStatus
  readonly mode: PassMode
  readonly disposition: Disposition
  readonly requests: number
  readonly startedAt: string | null
  readonly endedAt: string | null
  readonly durationMs: number
  /** How its schema differs from what the pipeline had agreed to when the run began. */
  readonly drift: readonly SchemaChange[]
  readonly error?: Failure
}

/** What all streams of a run have come to. */
export interface RunTotals extends Counts {
  /** How many streams it has. */
  readonly streams: number
  readonly requests: number
}

/** One run of a pipeline, its streams taken together. Times are ISO 8601. */
export interface RunSummary {
  readonly id: string
  readonly pipeline: string
  readonly source: string
  /** `partner.sink`. */
  readonly sink: string
  readonly trigger: Trigger
  /** Where the run was a backfill: its window. */
  readonly backfill?: Window
  readonly full: boolean
  readonly status: RunStatus
  readonly startedAt: string
  readonly endedAt: string | null
  /** Things that went wrong beside the data. */
  readonly warnings: readonly string[]
  readonly error?: Failure
  readonly totals: RunTotals
}
/** The same with each of its streams, in the order of the pipeline. */
export interface Run extends RunSummary {
  readonly streams: readonly StreamRun[]
}
/** A run that has ended. */
export type RunResult = Run & { readonly status: Exclude<RunStatus, 'running'>; readonly endedAt: string }

/** Where a stream stands, at most four times a second and at its end. */
export interface Progress extends Counts, Outlook {
  readonly run: string
  readonly pipeline: string
  readonly stream: string
  readonly status: StreamStatus
  readonly mode: PassMode
  readonly requests: number
}

/** Where OpenLineage events go besides the store. */
export interface LineageTarget {
  /** NDJSON, made readable by its owner only, appended to. */
  readonly file?: string | undefined
  /** Sends one event to a collector (OpenLineage's HTTP transport); what it throws is told in the run's warnings, and the event stays in the store and is sent again with the next run. */
  readonly send?: ((event: object, options: { readonly signal: AbortSignal }) => Promise<void>) | undefined
  /** Names a dataset as OpenLineage's naming page says for its kind, where the connector's own name (its manifest's `dataset`) is not the one that is wanted. */
  readonly dataset?: ((side: 'source' | 'sink', name: string) => DatasetName | undefined) | undefined
}

export interface SyncOptions {
  readonly pipeline: Pipeline
  readonly store: Store
  /** Reads everything, whatever the checkpoints say, and removes what the source no longer has. */
  readonly full?: boolean | undefined
  /** Reads this window again, merges it, and leaves the checkpoints as they are; a backfill of the same window that was cut off goes on where it stopped. */
  readonly backfill?: (Window & { readonly streams?: readonly string[] | undefined }) | undefined
  readonly trigger?: Trigger | undefined
  readonly signal?: AbortSignal | undefined
  readonly lineage?: LineageTarget | undefined
  /** OpenLineage's namespace of the jobs; default `default`. */
  readonly namespace?: string | undefined
  /** Epoch milliseconds; default the machine's clock. */
  readonly now?: (() => number) | undefined
  /** Called once when the run has its place in the store, before anything is read. */
  readonly onStart?: ((run: { readonly id: string }) => void) | undefined
  /** What it throws is ignored. */
  readonly onProgress?: ((progress: Progress) => void) | undefined
  /** Rows are committed when they are about this many bytes, or a second old, whichever is first; 0: with every batch. Default: 4 MiB, and earlier where commits are quick beside pages, so that they take about a twentieth of the time at most. */
  readonly commitBytes?: number | undefined
}
