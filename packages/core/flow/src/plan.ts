import { integrationError, jsonSchema, type AnyConnection, type Discovered, type Sink } from '@ecokit/contracts'
import type { Disposition } from '@ecokit/contracts'
import type { PipelineStream } from './types.ts'

/** A stream with everything decided: how it is read, how it is written and what its table looks like. */
export interface PlannedStream extends PipelineStream {
  readonly table: string
  readonly mode: 'full_refresh' | 'incremental'
  readonly disposition: Disposition
  /** What the sink is asked to hold. */
  readonly target: Discovered
}

interface Known {
  readonly table: Discovered
  readonly cursor: string | undefined
}

const unsupported = (partner: string, what: string, next: string) =>
  integrationError('unsupported', { partner, what, next, details: { what } })
const invalid = (partner: string, field: string, message: string, next: string) =>
  integrationError('invalid_config', { partner, what: `${field}: ${message}`, next, details: { field } })

/** Declared streams, and discovered tables where the source has them and they are asked for. */
const catalogue = async (
  source: AnyConnection,
  wanted: readonly PipelineStream[] | undefined,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, Known>> => {
  const known = new Map<string, Known>()
  for (const [name, { schema, primaryKey, cursor }] of Object.entries(source.manifest.streams ?? {}))
    known.set(name, { table: { name, schema: jsonSchema(schema), ...(primaryKey && { primaryKey }) }, cursor })
  const complete = wanted?.every(({ stream }) => known.has(stream)) ?? false
  if (source.discover !== undefined && !complete)
    for await (const table of source.discover({ signal })) known.set(table.name, { table, cursor: undefined })
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

const planOne = (
  source: AnyConnection,
  sinkPartner: string,
  sink: Sink,
  wanted: PipelineStream,
  known: Known,
): PlannedStream => {
  const { stream } = wanted
  const at = `streams.${stream}`
  const { mode, disposition } = chooseManner(wanted, known, sink)
  if (mode === 'incremental' && known.cursor === undefined)
    throw invalid(source.name, `${at}.mode`, `${stream} has no cursor to go on from`, 'Use full_refresh')
  if (mode === 'incremental' && disposition === 'overwrite')
    throw invalid(
      source.name,
      `${at}.disposition`,
      'an incremental read would overwrite the table with the newest rows alone',
      'Use merge, append, or full_refresh',
    )
  if (!sink.dispositions.includes(disposition))
    throw unsupported(sinkPartner, `the sink cannot ${disposition}`, `Choose one of: ${sink.dispositions.join(', ')}`)
  if (disposition === 'merge' && known.table.primaryKey === undefined)
    throw invalid(source.name, `${at}.disposition`, `${stream} has no primary key to merge by`, 'Use another one')
  if (disposition === 'append' && sink.commit === 'at_least_once' && wanted.allowDuplicates !== true)
    throw invalid(
      sinkPartner,
      `${at}.disposition`,
      'after a crash this sink could hold rows twice, and append cannot find them',
      'Use merge where the sink can, or accept it with allow_duplicates',
    )
  const table = wanted.table ?? stream
  return { ...wanted, table, mode, disposition, target: { ...known.table, name: table } }
}

/** Decides everything that a pipeline leaves open and refuses what would lose or double rows. */
export const planned = async (
  source: AnyConnection,
  sink: AnyConnection,
  sinkName: string,
  wanted: readonly (string | PipelineStream)[] | undefined,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<readonly PlannedStream[]> => {
  const sinks = sink.manifest.sinks ?? {}
  const declared = Object.hasOwn(sinks, sinkName) ? sinks[sinkName] : undefined
  if (declared === undefined || sink.write === undefined)
    throw unsupported(sink.name, `there is no sink ${sinkName}`, `Choose one of: ${Object.keys(sinks).join(', ')}`)
  if (source.read === undefined) throw unsupported(source.name, 'it has no streams to read', 'Choose another source')
  const asked = wanted?.map((one) => (typeof one === 'string' ? { stream: one } : one))
  const known = await catalogue(source, asked, options.signal)
  const plans = (asked ?? [...known.keys()].map((stream): PipelineStream => ({ stream }))).map((one) => {
    const found = known.get(one.stream)
    if (found === undefined)
      throw unsupported(
        source.name,
        `there is no stream ${one.stream}`,
        `Choose one of: ${[...known.keys()].join(', ')}`,
      )
    return planOne(source, sink.name, declared, one, found)
  })
  for (const [index, { stream, table }] of plans.entries())
    if (plans.some((other, place) => place < index && (other.table === table || other.stream === stream)))
      throw invalid(source.name, `streams.${stream}.table`, `the table ${table} is written twice`, 'Name another table')
  return plans
}

/** The streams that a pipeline would sync, with the defaults: `incremental` and `merge` where the stream has a cursor and a primary key and the sink can, else `full_refresh` and `overwrite`. All streams when none are named. */
export const planStreams = async (
  source: AnyConnection,
  sink: AnyConnection,
  sinkName: string,
  wanted?: readonly (string | PipelineStream)[],
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<readonly PipelineStream[]> =>
  (await planned(source, sink, sinkName, wanted, options)).map(({ target: _target, ...stream }) => stream)
