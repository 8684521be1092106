import type { AnyConnection, Disposition, ErrorCode } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import type { DatasetName } from './lineage.ts'

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
  /** How many requests the source has made so far (count them with the `observe` of connect's Runtime); without it the streams' `requests` stay 0. */
  readonly requests?: (() => number) | undefined
}

export type StreamStatus = 'waiting' | 'running' | 'completed' | 'failed' | 'cancelled'
export type RunStatus = 'running' | 'completed' | 'failed' | 'cancelled'
/** `reconcile`: everything was read again, merged, and rows that the source no longer has were removed. */
export type PassMode = 'full_refresh' | 'incremental' | 'reconcile'
export type Trigger = 'manual' | 'schedule'

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

/** One stream of a run: live while it runs, its account of what was committed afterwards. Times are ISO 8601. */
export interface StreamRun extends Counts {
  readonly stream: string
  readonly table: string
  readonly status: StreamStatus
  readonly mode: PassMode
  readonly disposition: Disposition
  readonly requests: number
  readonly startedAt: string | null
  readonly endedAt: string | null
  readonly durationMs: number
  readonly error?: Failure
}

/** One run of a pipeline. Times are ISO 8601. */
export interface Run {
  readonly id: string
  readonly pipeline: string
  readonly source: string
  /** `partner.sink`. */
  readonly sink: string
  readonly trigger: Trigger
  readonly full: boolean
  readonly status: RunStatus
  readonly startedAt: string
  readonly endedAt: string | null
  /** Things that went wrong beside the data. */
  readonly warnings: readonly string[]
  readonly error?: Failure
  readonly streams: readonly StreamRun[]
}
/** A run that has ended. */
export type RunResult = Run & { readonly status: Exclude<RunStatus, 'running'>; readonly endedAt: string }

/** Where a stream stands, at most four times a second and at its end. */
export interface Progress extends Counts {
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
  /** Names a dataset as OpenLineage's naming page says for its kind; default `<connector>://<partner>` and the stream's or table's name. */
  readonly dataset?: ((side: 'source' | 'sink', name: string) => DatasetName | undefined) | undefined
}

export interface SyncOptions {
  readonly pipeline: Pipeline
  readonly store: Store
  /** Reads everything, whatever the checkpoints say, and removes what the source no longer has. */
  readonly full?: boolean | undefined
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
  /** Rows are committed when they are about this many bytes, or a second old, whichever is first. Default 4 MiB. */
  readonly commitBytes?: number | undefined
}
