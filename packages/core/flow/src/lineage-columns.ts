import type { DatasetName } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import type { StreamJob } from './lineage.ts'
import type { InputField } from './lineage-event.ts'
import type { PlannedStream } from './plan.ts'
import { isRowKind } from './quality-values.ts'

/** How a column comes about. */
export interface ColumnSource {
  readonly field: string
  /** Empty: the field decides which rows there are, and no value. */
  readonly column: string
  /** OpenLineage's words: https://openlineage.io/docs/spec/facets/dataset-facets/column_lineage_facet */
  readonly type: 'DIRECT' | 'INDIRECT'
  readonly subtype: 'IDENTITY' | 'TRANSFORMATION' | 'JOIN' | 'FILTER'
  readonly description: string
}

/** Which field each column of a stream's table comes from, and which fields decide what rows it has. */
export const columnSources = (planned: PlannedStream): readonly ColumnSource[] => {
  const { mapping, origin, cursor, mode, disposition, rules } = planned
  const fieldOf = (column: string): string => mapping.fields.find((one) => one.column === column)?.field ?? column
  const direct = mapping.fields.map(({ field, column, cast }): ColumnSource => {
    const how = { field, column, type: 'DIRECT' } as const
    return cast === undefined
      ? { ...how, subtype: 'IDENTITY', description: field === column ? '' : `renamed from ${field}` }
      : { ...how, subtype: 'TRANSFORMATION', description: `cast to ${cast}` }
  })
  const decides = (field: string, subtype: 'JOIN' | 'FILTER', description: string): ColumnSource => ({
    ...{ field, column: '', type: 'INDIRECT', subtype, description },
  })
  const keys = disposition === 'merge' ? (origin.primaryKey ?? []) : []
  const sieves = rules.filter(({ rule, severity }) => severity === 'quarantine' && isRowKind(rule.rule))
  const indirect = [
    ...keys.map((field) => decides(field, 'JOIN', 'rows are merged by it')),
    ...(mode === 'incremental' && cursor !== undefined
      ? [decides(fieldOf(cursor), 'FILTER', 'a read goes on from it')]
      : []),
    ...sieves.flatMap(({ fields, name }) =>
      fields.map((column) => decides(fieldOf(column), 'FILTER', `quality rule ${name}`)),
    ),
  ]
  return [...direct, ...indirect]
}

/** The content of the facet `columnLineage`. */
export const columnLineage = ({ namespace, name }: DatasetName, sources: readonly ColumnSource[]) => {
  const inputOf = ({ field, type, subtype, description }: ColumnSource): InputField => ({
    ...{ namespace, name, field, transformations: [{ type, subtype, description, masking: false }] },
  })
  const direct = sources.filter(({ column }) => column !== '')
  const rest = sources.filter(({ column }) => column === '')
  return {
    fields: Object.fromEntries(direct.map((one) => [one.column, { inputFields: [inputOf(one)] }])),
    ...(rest.length > 0 && { dataset: rest.map(inputOf) }),
  }
}

const rowsAtOnce = 500

/** Stores where the columns of a stream's table come from, in the place of what its last run said. */
export const storeEdges = async (
  store: Store,
  { run, pipeline, stream, data }: StreamJob,
  /** Epoch milliseconds. */
  at: number,
): Promise<void> => {
  if (data === undefined) return
  const [input, output, sources] = [data.source.dataset, data.sink.dataset, data.columns]
  const changed = sources.some(({ subtype }) => subtype === 'TRANSFORMATION')
  const whole = { field: '', column: '', type: 'DIRECT', subtype: changed ? 'TRANSFORMATION' : 'IDENTITY' } as const
  const found = new Map<string, { input_field: string; output_field: string; transformation: string }>()
  for (const { field, column, type, subtype } of [whole, ...sources]) {
    const key = JSON.stringify([field, column])
    if (!found.has(key))
      found.set(key, { input_field: field, output_field: column, transformation: `${type}/${subtype}` })
  }
  const rows = [...found.values()].map((edge) => ({
    ...edge,
    pipeline,
    stream,
    input_namespace: input.namespace,
    input_name: input.name,
    output_namespace: output.namespace,
    output_name: output.name,
    run_id: run,
    at,
  }))
  await store.db.transaction().execute(async (transaction) => {
    await transaction
      .deleteFrom('lineage_edges')
      .where('pipeline', '=', pipeline)
      .where('stream', '=', stream)
      .execute()
    for (let from = 0; from < rows.length; from += rowsAtOnce)
      await transaction
        .insertInto('lineage_edges')
        .values(rows.slice(from, from + rowsAtOnce))
        .execute()
  })
}
