import { deletedAt, jsonSchema } from '@ecokit/contracts'
import type {
  AnyConnection,
  Deletes,
  Discovered,
  Disposition,
  IntegrationError,
  QualityRule,
  Sink,
} from '@ecokit/contracts'
import type { Mapping } from './mapping.ts'
import { haltedPlan } from './plan-halted.ts'
import { planMapping } from './plan-mapping.ts'
import { planRules, refuseAsking, type PlannedRule } from './quality-rules.ts'
import { invalid, unsupported } from './refusals.ts'
import { propertiesOf } from './schemas.ts'
import type { PipelineStream, SchemaChange, Window } from './types.ts'

/** A stream with everything decided: how it is read, how it is written and what its table looks like. */
export interface PlannedStream {
  readonly stream: string
  readonly wanted: PipelineStream
  readonly table: string
  readonly mode: 'full_refresh' | 'incremental'
  readonly disposition: Disposition
  readonly lagMs: number | undefined
  /** What happens to rows that are gone at the source. */
  readonly deletes: Deletes | 'ignore'
  /** True where a merge of everything also finds the rows that are gone. */
  readonly prunes: boolean
  /** What the sink is asked to hold, with columns after renaming. */
  readonly target: Discovered
  /** The stream as its source has it. */
  readonly origin: Discovered
  readonly mapping: Mapping
  /** The column of the cursor. */
  readonly cursor: string | undefined
  /** Quality rules of the connector and the pipeline, about columns of the table. */
  readonly rules: readonly PlannedRule[]
  /** What a backfill reads; undefined: it is none. */
  readonly window: Window | undefined
  /** How the schema differs from what was agreed to. */
  readonly drift: readonly SchemaChange[]
  /** Why the stream is not run; its other fields may be guesses then. */
  readonly halted: IntegrationError | undefined
  /** True for a new stream that the schema contract leaves out: it ends without having read anything. */
  readonly skipped: boolean
}

/** A stream as its source offers it. */
export interface Known {
  readonly table: Discovered
  readonly cursor: string | undefined
  readonly quality: readonly QualityRule[]
}

/** Declared streams, and discovered tables where the source has them and they are asked for. */
const catalogue = async (
  source: AnyConnection,
  wanted: readonly PipelineStream[] | undefined,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Known>> => {
  const known = new Map<string, Known>()
  for (const [name, { schema, primaryKey, cursor, quality = [] }] of Object.entries(source.manifest.streams ?? {}))
    known.set(name, { table: { name, schema: jsonSchema(schema), ...(primaryKey && { primaryKey }) }, cursor, quality })
  const complete = wanted?.every(({ stream }) => known.has(stream)) ?? false
  if (source.discover !== undefined && !complete)
    for await (const table of source.discover({ signal }))
      known.set(table.name, { table, cursor: undefined, quality: [] })
  return known
}

type Manner = Pick<PlannedStream, 'mode' | 'disposition'>

/** Without a merge an incremental read doubles whatever its source reads again, so it is never a default. */
const chooseManner = (wanted: PipelineStream, { table, cursor }: Known, { dispositions }: Sink): Manner => {
  const merges = table.primaryKey !== undefined && dispositions.includes('merge')
  const { disposition } = wanted
  const goesOn = cursor !== undefined && (disposition === undefined ? merges : disposition !== 'overwrite')
  const mode = wanted.mode ?? (goesOn ? 'incremental' : 'full_refresh')
  if (disposition !== undefined) return { mode, disposition }
  if (mode === 'full_refresh' && dispositions.includes('overwrite')) return { mode, disposition: 'overwrite' }
  return { mode, disposition: merges ? 'merge' : 'append' }
}

/** Refuses a way of writing that would lose or double rows. */
const checkManner = (
  source: string,
  sinkPartner: string,
  sink: Sink,
  wanted: PipelineStream,
  known: Known,
  manner: Manner,
): void => {
  const { stream } = wanted
  const at = `streams.${stream}`
  const { mode, disposition } = manner
  if (mode === 'incremental' && known.cursor === undefined)
    throw invalid(source, `${at}.mode`, `${stream} has no cursor to go on from`, 'Use full_refresh')
  if (mode === 'incremental' && disposition === 'overwrite')
    throw invalid(
      source,
      `${at}.disposition`,
      'an incremental read would overwrite the table with the newest rows alone',
      'Use merge, append, or full_refresh',
    )
  if (!sink.dispositions.includes(disposition))
    throw unsupported(sinkPartner, `the sink cannot ${disposition}`, `Choose one of: ${sink.dispositions.join(', ')}`)
  if (disposition === 'merge' && known.table.primaryKey === undefined)
    throw invalid(source, `${at}.disposition`, `${stream} has no primary key to merge by`, 'Use another one')
  if (disposition === 'append' && sink.commit === 'at_least_once' && wanted.allowDuplicates !== true)
    throw invalid(
      sinkPartner,
      `${at}.disposition`,
      'after a crash this sink could hold rows twice, and append cannot find them',
      'Use merge where the sink can, or accept it with allow_duplicates',
    )
}

/** What is done with rows that are gone: what was asked for, if the sink can, else what it can. */
const chooseDeletes = (
  sinkPartner: string,
  { deletes: can = [] }: Sink,
  wanted: PipelineStream,
  { disposition }: Manner,
): Deletes | 'ignore' => {
  const { stream, deletes } = wanted
  if (deletes === undefined) return can.includes('hard') ? 'hard' : 'ignore'
  if (deletes === 'ignore') return deletes
  const at = `streams.${stream}.deletes`
  if (!can.includes(deletes))
    throw unsupported(
      sinkPartner,
      `${at}: the sink has no ${deletes} deletes`,
      `Choose one of: ${[...can, 'ignore'].join(', ')}`,
    )
  if (deletes === 'soft' && disposition !== 'merge')
    throw invalid(sinkPartner, at, 'only a merge finds the row again that is gone', 'Use merge, or hard')
  return deletes
}

const planOne = (
  source: AnyConnection,
  sinkPartner: string,
  sink: Sink,
  wanted: PipelineStream,
  known: Known,
): PlannedStream => {
  const { stream } = wanted
  const manner = chooseManner(wanted, known, sink)
  checkManner(source.name, sinkPartner, sink, wanted, known, manner)
  const deletes = chooseDeletes(sinkPartner, sink, wanted, manner)
  const table = wanted.table ?? stream
  const { mapping, target, cursor } = planMapping(source.name, wanted, known)
  if (deletes === 'soft' && Object.hasOwn(propertiesOf(target.schema), deletedAt))
    throw invalid(
      source.name,
      `streams.${stream}.deletes`,
      `the column ${deletedAt} is kept for soft deletes`,
      'Rename it',
    )
  const rules = planRules({
    partner: source.name,
    stream,
    declared: known.quality,
    added: wanted.quality ?? [],
    schema: target.schema,
    columnOf: (field) => mapping.fields.find((one) => one.field === field)?.column,
  })
  if (sink.queries === false) refuseAsking(rules, sinkPartner, stream)
  return {
    stream,
    wanted,
    table,
    ...manner,
    lagMs: wanted.lagMs,
    deletes,
    prunes: deletes !== 'ignore' && sink.prunes !== false,
    target: { ...target, name: table },
    origin: known.table,
    mapping,
    cursor,
    rules,
    window: undefined,
    drift: [],
    halted: undefined,
    skipped: false,
  }
}

/** The sink of that name and what it can do. */
export const sinkOf = (sink: AnyConnection, sinkName: string): Sink => {
  const sinks = sink.manifest.sinks ?? {}
  const declared = Object.hasOwn(sinks, sinkName) ? sinks[sinkName] : undefined
  if (declared === undefined || sink.write === undefined)
    throw unsupported(sink.name, `there is no sink ${sinkName}`, `Choose one of: ${Object.keys(sinks).join(', ')}`)
  return declared
}

interface PlanOptions {
  readonly signal?: AbortSignal | undefined
  /** Called with a stream that cannot be planned; what it gives stands in the plan's place, if anything. */
  readonly rescue?: ((wanted: PipelineStream, known: Known, error: unknown) => PlannedStream | undefined) | undefined
}

/** Decides everything that a pipeline leaves open and refuses what would lose or double rows. */
export const planned = async (
  source: AnyConnection,
  sink: AnyConnection,
  sinkName: string,
  wanted: readonly (string | PipelineStream)[] | undefined,
  { signal, rescue }: PlanOptions = {},
): Promise<readonly PlannedStream[]> => {
  const declared = sinkOf(sink, sinkName)
  if (source.read === undefined) throw unsupported(source.name, 'it has no streams to read', 'Choose another source')
  const asked = wanted?.map((one) => (typeof one === 'string' ? { stream: one } : one))
  const known = await catalogue(source, asked, signal)
  const plans = (asked ?? [...known.keys()].map((stream): PipelineStream => ({ stream }))).map((one) => {
    const found = known.get(one.stream)
    if (found === undefined)
      throw unsupported(
        source.name,
        `there is no stream ${one.stream}`,
        `Choose one of: ${[...known.keys()].join(', ')}`,
      )
    const { fault } = found.table
    // It fails alone, with what its source says.
    if (fault !== undefined) return haltedPlan(one, found, fault)
    try {
      return planOne(source, sink.name, declared, one, found)
    } catch (error) {
      const rescued = rescue?.(one, found, error)
      if (rescued === undefined) throw error
      return rescued
    }
  })
  const [tables, streams] = [new Set<string>(), new Set<string>()]
  for (const { stream, table } of plans) {
    if (tables.has(table) || streams.has(stream))
      throw invalid(source.name, `streams.${stream}.table`, `the table ${table} is written twice`, 'Name another table')
    tables.add(table)
    streams.add(stream)
  }
  return plans
}

/** The streams that a pipeline would sync, with the defaults: `incremental` and `merge` where the stream has a cursor and a primary key and the sink can, else `full_refresh` and `overwrite`. All streams when none are named, without those that cannot be described; one that is named throws its fault. */
export const planStreams = async (
  source: AnyConnection,
  sink: AnyConnection,
  sinkName: string,
  wanted?: readonly (string | PipelineStream)[],
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<readonly PipelineStream[]> =>
  (await planned(source, sink, sinkName, wanted, options)).flatMap(
    ({ wanted: given, table, mode, disposition, halted }) => {
      if (halted !== undefined && wanted !== undefined) throw halted
      return halted === undefined ? [{ ...given, table, mode, disposition }] : []
    },
  )
