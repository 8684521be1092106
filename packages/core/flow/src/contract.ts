import { integrationError, type IntegrationError, type JsonSchema, type Sink } from '@ecokit/contracts'
import type { Agreement } from './agreement.ts'
import type { Guard } from './mapping.ts'
import type { Known, PlannedStream } from './plan.ts'
import { haltedPlan } from './plan-halted.ts'
import { compareSchemas, propertiesOf, type Difference } from './schemas.ts'
import type { ChangeMode, Pipeline, PipelineStream, SchemaChange, SchemaContract } from './types.ts'

/** What a stream's contract makes of its plan. */
export interface Settled {
  readonly planned: PlannedStream
  /** What holds once the stream has begun, or once somebody accepts it where the stream is halted. */
  readonly agreement: Agreement
  /** Why it waits for somebody. */
  readonly paused: readonly SchemaChange[]
}

const told = ({ kind, field, before, after }: SchemaChange): SchemaChange => ({
  kind,
  field,
  ...(before !== undefined && { before }),
  ...(after !== undefined && { after }),
})

/** One change in words. */
export const describeChange = ({ kind, field, before = '', after = '' }: SchemaChange): string => {
  switch (kind) {
    case 'table_added':
      return `${field} is new`
    case 'column_added':
      return `${field} (${after}) is new`
    case 'column_removed':
      return `${field} (${before}) is gone`
    case 'type_changed':
      return `${field} is ${after} instead of ${before}`
    case 'key_lost':
      return after === '' ? `its primary key (${before}) is gone` : `its primary key is ${after} instead of ${before}`
    case 'cursor_lost':
      return after === '' ? `its cursor (${before}) is gone` : `its cursor is ${after} instead of ${before}`
  }
}
export const describeChanges = (changes: readonly SchemaChange[]): string => changes.map(describeChange).join('; ')

/** What the plan would hold, were nothing agreed to. */
const agreementOf = ({ target, cursor, table, mapping }: PlannedStream): Agreement => ({
  schema: { ...target.schema },
  primaryKey: [...(target.primaryKey ?? [])],
  ...(cursor !== undefined && { cursor }),
  table,
  fields: mapping.fields.map(({ field }) => field),
})

/** Without key or cursor nobody knows which rows are meant or where to go on: a stream that loses them waits, whatever its contract says. */
const losses = (
  agreed: Agreement,
  primaryKey: readonly string[],
  cursor: string | undefined,
): readonly SchemaChange[] => {
  const found: SchemaChange[] = []
  const lost = (kind: 'key_lost' | 'cursor_lost', before: string, after: string): void => {
    if (before !== '' && before !== after) found.push({ kind, field: before, before, ...(after !== '' && { after }) })
  }
  lost('key_lost', agreed.primaryKey.join(', '), primaryKey.join(', '))
  lost('cursor_lost', agreed.cursor ?? '', cursor ?? '')
  return found
}

/** Changes of a table that the sink cannot make while the table is there. */
const impossible = (
  sink: Sink,
  { disposition, table }: PlannedStream,
  agreed: Agreement,
  differences: readonly Difference[],
): readonly Difference[] => {
  if (disposition === 'overwrite' || sink.schema !== undefined || agreed.table !== table) return []
  const can = sink.changes ?? []
  // Inside of a column values may have any shape: they are kept as JSON.
  return differences.filter(({ kind, path, widening }) => {
    if (path.length > 1) return false
    if (kind === 'column_added') return !can.includes('add_column')
    return kind === 'type_changed' && !(widening === true && can.includes('widen'))
  })
}

const nextStep = (pipeline: string, stream: string): string =>
  `Accept it with \`ecokit contract accept ${pipeline} ${stream}\`, or say otherwise in the stream's contract`

const pausedError = (pipeline: Pipeline, stream: string, changes: readonly SchemaChange[]): IntegrationError =>
  integrationError('invalid_data', {
    partner: pipeline.source.name,
    what: `${stream} is not what ${pipeline.name} has agreed to hold, and waits: ${describeChanges(changes)}`,
    next: changes.some(({ kind }) => kind === 'key_lost' || kind === 'cursor_lost')
      ? `Mend it at the source, or accept it with \`ecokit contract accept ${pipeline.name} ${stream}\` and run it once with --full`
      : nextStep(pipeline.name, stream),
    details: { stream, field: changes[0]?.field ?? '' },
  })

const impossibleError = (
  pipeline: Pipeline,
  { stream, table }: PlannedStream,
  changes: readonly Difference[],
): IntegrationError => {
  const [first] = changes
  const cast = first?.kind === 'type_changed' ? `cast ${first.field} back to ${first.before ?? ''}, ` : ''
  return integrationError('unsupported', {
    partner: pipeline.sink.name,
    what: `table ${table} cannot follow ${stream}: ${describeChanges(changes)}`,
    next: `Choose columns, ${cast}name another table, or overwrite this one with mode full_refresh. If you have changed the table yourself, \`ecokit contract accept ${pipeline.name} ${stream}\``,
    details: { what: first?.kind ?? 'schema' },
  })
}

/** The table and the guards of a stream some of whose changes are not taken over. */
const discarding = (
  planned: PlannedStream,
  agreed: Agreement,
  differences: readonly Difference[],
  narrowed: ReadonlySet<string>,
  modeOf: (change: SchemaChange) => ChangeMode,
): PlannedStream => {
  const { mapping, target } = planned
  const old = propertiesOf(agreed.schema)
  const properties: Record<string, unknown> = { ...propertiesOf(target.schema) }
  for (const column of narrowed) properties[column] = old[column]
  /** New columns that the table does not get. */
  const refused = new Set<string>()
  /** Those that are not even read. */
  const left = new Set<string>()
  const guards: Guard[] = []
  for (const { kind, path, field, agreed: before, after = '' } of differences) {
    const mode = modeOf({ kind, field })
    if (mode !== 'discard_row' && mode !== 'discard_value') continue
    const [column = ''] = path
    const whole = path.length === 1
    if (!whole || kind === 'column_removed') properties[column] = old[column]
    if (kind === 'column_removed') continue
    if (kind === 'column_added') {
      if (whole) refused.add(column)
      if (whole && mode === 'discard_value') left.add(column)
      else guards.push({ path, field, mode, reason: `the contract takes no new field ${field}` })
    } else {
      // A key that is left out would belong to no row.
      const strict = planned.target.primaryKey?.includes(column) === true ? 'discard_row' : mode
      if (whole) properties[column] = before
      const schema = { ...(before as object), $defs: agreed.schema['$defs'] }
      guards.push({ path, field, schema, mode: strict, reason: `the contract takes no ${after} for ${field}` })
    }
  }
  const { required } = target.schema
  const kept = mapping.fields.filter(({ column }) => !left.has(column))
  const fields = left.size === 0 ? mapping.columns : kept.map(({ field }) => field)
  const schema: JsonSchema = {
    ...target.schema,
    // What was agreed to may stand there.
    ...(agreed.schema['$defs'] !== undefined && {
      $defs: { ...(agreed.schema['$defs'] as object), ...(target.schema['$defs'] as object | undefined) },
    }),
    properties: Object.fromEntries(Object.entries(properties).filter(([column]) => !refused.has(column))),
    ...(Array.isArray(required) && {
      required: required.filter((column: string) => !differences.some(({ path: [changed] }) => changed === column)),
    }),
  }
  return {
    ...planned,
    target: { ...target, schema },
    mapping: { fields: kept, columns: fields, guards, perRecord: mapping.perRecord || guards.length > 0 },
  }
}

const modes = ({ contract = {} }: PipelineStream, wide: SchemaContract = {}) => ({
  tables: contract.tables ?? wide.tables ?? 'evolve',
  columns: contract.columns ?? wide.columns ?? 'evolve',
  types: contract.types ?? wide.types ?? 'evolve',
})

/** Holds a plan against what the pipeline has agreed to. `first`: the pipeline has never run, or its first run did not come to this stream, so that it is no new one. */
export const settleContract = (
  pipeline: Pipeline,
  sink: Sink,
  planned: PlannedStream,
  agreed: Agreement | undefined,
  first: boolean,
): Settled => {
  const { stream, wanted } = planned
  const { tables, columns, types } = modes(wanted, pipeline.contract)
  if (agreed === undefined) {
    const added: SchemaChange = { kind: 'table_added', field: planned.table }
    const agreement = agreementOf(planned)
    if (first || pipeline.streams !== undefined) return { planned, agreement, paused: [] }
    const drift = [added]
    if (tables === 'freeze')
      return { planned: { ...planned, drift, halted: pausedError(pipeline, stream, drift) }, agreement, paused: drift }
    return { planned: { ...planned, drift, skipped: tables !== 'evolve' }, agreement, paused: [] }
  }
  const { differences, narrowed } = compareSchemas(agreed.schema, planned.target.schema)
  const lost = losses(agreed, planned.target.primaryKey ?? [], planned.cursor)
  const drift = [...lost, ...differences.map(told)]
  const modeOf = ({ kind }: SchemaChange): ChangeMode => (kind === 'type_changed' ? types : columns)
  const frozen = differences.filter((change) => modeOf(change) === 'freeze')
  if (lost.length + frozen.length > 0) {
    const paused = [...lost, ...frozen.map(told)]
    const halted = pausedError(pipeline, stream, paused)
    return { planned: { ...planned, drift, halted }, agreement: agreementOf(planned), paused }
  }
  const evolving = differences.filter((change) => modeOf(change) === 'evolve')
  const cannot = impossible(sink, planned, agreed, evolving)
  if (cannot.length > 0) {
    const halted = impossibleError(pipeline, planned, cannot)
    return { planned: { ...planned, drift, halted }, agreement: agreementOf(planned), paused: cannot.map(told) }
  }
  const changed =
    narrowed.size + differences.length - evolving.length > 0
      ? discarding(planned, agreed, differences, narrowed, modeOf)
      : planned
  const agreement = agreementOf(changed)
  // What is not taken over stays new, run after run.
  const kept = evolving.length === 0 ? { schema: agreed.schema, fields: agreed.fields } : {}
  return { planned: { ...changed, drift }, agreement: { ...agreement, ...kept }, paused: [] }
}

/** A plan in the place of one that failed because the source lacks what was agreed to; undefined where it failed for another reason. */
export const settleLost = (
  pipeline: Pipeline,
  wanted: PipelineStream,
  { table, cursor }: Known,
  agreed: Agreement | undefined,
): Settled | undefined => {
  if (agreed === undefined) return undefined
  const fields = Object.keys(propertiesOf(table.schema))
  const gone = agreed.fields
    .filter((field) => !fields.includes(field))
    .map((field): SchemaChange => ({ kind: 'column_removed', field }))
  const lost = [
    ...(agreed.primaryKey.length > 0 && table.primaryKey === undefined
      ? losses({ ...agreed, cursor: undefined }, [], undefined)
      : []),
    ...(agreed.cursor !== undefined && cursor === undefined
      ? losses({ ...agreed, primaryKey: [] }, [], undefined)
      : []),
    ...gone,
  ]
  if (lost.length === 0) return undefined
  const { stream } = wanted
  const planned = haltedPlan(wanted, { table, cursor, quality: [] }, pausedError(pipeline, stream, lost), lost)
  return { planned, agreement: agreementOf(planned), paused: lost }
}
