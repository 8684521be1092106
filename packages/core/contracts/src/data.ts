import type { z } from 'zod'
import type { IntegrationError } from './errors.ts'
import type { CallOptions } from './operations.ts'
import type { QualityRule } from './quality.ts'
import type { RestStream } from './rest.ts'
import type { JsonSchema } from './schema.ts'

export type AnyRecord = Readonly<Record<string, unknown>>
/** A sequence of records of one shape. Key and cursor names are checked by `stream()` and stored as strings, so that streams of unknown make fit one list. */
export interface Stream<Row extends z.ZodType = z.ZodType> {
  readonly schema: Row
  /** Fields that together identify a record; needed for `merge`. */
  readonly primaryKey?: readonly string[]
  /** The field by which an incremental read goes on; absent: only `full_refresh`. */
  readonly cursor?: string
  /** What its records must keep to beside their schema; a pipeline may add rules. */
  readonly quality?: readonly QualityRule[]
  /** How it is read over REST; absent: the connector's code reads it. */
  readonly rest?: RestStream
}
interface Declared<Row extends z.ZodObject> {
  readonly schema: Row
  readonly primaryKey?: readonly (keyof z.output<Row> & string)[]
  readonly cursor?: keyof z.output<Row> & string
  readonly quality?: readonly QualityRule[]
}
interface DeclareStream {
  /** A stream that is read over REST as `rest` says: no code. */
  <Row extends z.ZodObject, Wire extends z.ZodType>(
    declared: Declared<Row> & { readonly rest: RestStream<Wire, z.input<Row>> },
  ): Stream<Row> & { readonly rest: RestStream }
  /** A stream that the connector's own code reads. */
  <Row extends z.ZodObject>(declared: Declared<Row>): Stream<Row>
}
/** Declares a stream; key and cursor must be fields of the schema. */
export const stream: DeclareStream = (declared: Stream) => declared as never

export type Encoding = 'records' | 'ndjson' | 'arrow'
/** The saved payload from which a read goes on. JSON; a kill may separate the process that wrote it from the one that reads it. */
export type Checkpoint = Readonly<Record<string, unknown>>

/** A bounded piece of a stream (aim at 1 to 4 MB): records, or the bytes that hold them, deletes by primary key, and the checkpoint that holds once all of it is stored. */
export type Batch<Row> = {
  readonly checkpoint?: Checkpoint
  /** Primary keys of records that are gone at the partner. */
  readonly deleted?: readonly Readonly<Record<string, unknown>>[]
} & (
  | { readonly encoding: 'records'; readonly records: readonly Row[] }
  | {
      readonly encoding: 'ndjson' | 'arrow'
      readonly bytes: Uint8Array
      readonly count: number
      /** Each line of NDJSON was proved by the stream's schema, byte by byte (@ecokit/json-scan), so that any reader takes it for the same values. Said by connect alone: what a connector says is checked. */
      readonly proven?: boolean
    }
)

export interface ReadOptions extends CallOptions {
  /** Absent: read everything. */
  readonly checkpoint?: Checkpoint | undefined
  /** Lower bound of the cursor, inclusive, in the cursor's own form. */
  readonly since?: string
  /** Upper bound of the cursor, exclusive. */
  readonly until?: string
  /** How far behind the checkpoint an incremental read starts again, in milliseconds; the stream's own default otherwise. */
  readonly lagMs?: number | undefined
  readonly columns?: readonly string[]
  readonly partition?: string
  /** Receives each record that breaks the schema, which is then left out; without it the first one ends the read with `invalid_data`. */
  readonly onInvalid?: (invalid: InvalidRecord) => void
}
export interface InvalidRecord {
  readonly record: unknown
  /** The dotted path inside the record. */
  readonly field: string
  readonly reason: string
}
export type Reader<Row> = (options: ReadOptions) => AsyncIterable<Batch<Row>>

/**
 * What lineage calls a table, by the rules of https://openlineage.io/docs/spec/naming for its kind (`postgres://{host}:{port}` and `{database}.{schema}.{table}`), so that what others say about the same data joins.
 * In a manifest both are patterns: `{field}` stands for a field of the config (dotted; of a URL its scheme, host, port and path), `{table}` for the stream or table. Where the namespace is `file`, the name becomes an absolute path.
 */
export interface DatasetName {
  readonly namespace: string
  readonly name: string
}

/** A table as a source describes it at run time, or as a sink is asked to hold it. */
export interface Discovered {
  readonly name: string
  /** What lineage calls it, in full, where the manifest's pattern cannot say. */
  readonly dataset?: DatasetName
  /** JSON Schema of one record (an object with `properties`). */
  readonly schema: JsonSchema
  readonly primaryKey?: readonly string[]
  /** Of a source: why the table cannot be described; its schema says nothing then. `discover` tells it here and goes on with the other tables. */
  readonly fault?: IntegrationError
}

export type Disposition = 'append' | 'overwrite' | 'merge'
export type Deletes = 'hard' | 'soft'
/** The column in which a sink with soft deletes keeps when a record was seen to be gone; null while it is there. */
export const deletedAt = '_deleted_at'

/** Where records can be put. */
export interface Sink<Row extends z.ZodType = z.ZodType> {
  /** The fixed shape that the partner takes (metrics, logs); absent: tables are made from the stream's own schema (warehouses, files). */
  readonly schema?: Row
  /** What lineage calls its tables; default the manifest's. */
  readonly dataset?: DatasetName
  readonly accepts: readonly Encoding[]
  readonly dispositions: readonly Disposition[]
  /** The field of the config that says something table by table, by their names; who checks an ecosystem tells a name that was probably meant for another. */
  readonly perTable?: string
  /** What it can do with records that are gone: remove them (`hard`), or keep them and note in the column `_deleted_at` when that was seen (`soft`). Default: none. */
  readonly deletes?: readonly Deletes[]
  /** False: it merges and cannot find the rows that a pass did not bring, as `prune` asks. Default: true. */
  readonly prunes?: false
  /** False: its writers have no `query`, so that rules which need it are refused when a pipeline is planned. */
  readonly queries?: false
  /** Which changes of a table's columns it takes without being overwritten. Default: none. */
  readonly changes?: readonly ('add_column' | 'widen')[]
  /** `transaction`: rows and checkpoint commit together. `idempotent`: a replay changes nothing. `at_least_once`: a replay may double rows. */
  readonly commit: 'transaction' | 'idempotent' | 'at_least_once'
}
/** Declares a sink. */
export const sink = <Row extends z.ZodType = z.ZodType<Record<string, unknown>, Record<string, unknown>>>(
  declared: Sink<Row>,
): Sink<Row> => declared

export interface WriteOptions extends CallOptions {
  readonly table: Discovered
  readonly disposition: Disposition
  /** The sync run's id, for the sink's own bookkeeping. */
  readonly run: string
  /** Under which the sink keeps the checkpoint of this flow into this table: `pipeline/stream`. */
  readonly key: string
  /** With `merge`: when the pass is complete, remove the rows whose key it did not bring. Never set for a partial pass. */
  readonly prune?: boolean
  /** What happens to rows that are deleted or pruned. Default `hard`. With `soft` the table has the column `_deleted_at` beside its own, and a record that comes back clears it. */
  readonly deletes?: Deletes
}
export interface Written {
  /** Rows stored or merged; not yet visible before `commit`. */
  readonly rows: number
  /** Records that the sink refused, by their index in the batch. */
  readonly rejected: readonly { readonly index: number; readonly reason: string }[]
}
export interface CommitOptions extends CallOptions {
  /** True on the last commit of a complete pass: `overwrite` swaps and `prune` deletes here. */
  readonly final?: boolean
}
export interface Committed {
  /** Rows that `prune` removed. */
  readonly pruned?: number
}
/** One table being written by one run. A second writer on the same table waits or fails with `conflict`. */
export interface Writer<Row> extends AsyncDisposable {
  /** The checkpoint that was committed last under `key`; undefined when nothing was. */
  resumesFrom(options?: CallOptions): Promise<Checkpoint | undefined>
  /** Stores a batch, or keeps a copy of it until the commit: once this has resolved, the batch's bytes may be gone. */
  /** A batch's `bytes` are the writer's until this has ended; what it wants to keep of them it copies, for their memory is then used again. */
  write(batch: Batch<Row>, options?: CallOptions): Promise<Written>
  /**
   * Asks about the rows as they will be once everything written is committed, for quality rules; with `prune` without those that the pass would remove if it ended here. `{table}` stands for the table as a source of rows, `{table:name}` for another one of the sink. Only reads.
   * Absent: the sink cannot be asked.
   */
  query?(sql: string, options?: CallOptions): Promise<readonly AnyRecord[]>
  /** Makes everything written so far visible together with the checkpoint. What was not committed is gone after a crash or a dispose. */
  commit(checkpoint: Checkpoint | undefined, options?: CommitOptions): Promise<Committed | void>
}
