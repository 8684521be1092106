import { toUSVString } from 'node:util'
import type { DatasetName, JsonSchema } from '@ecokit/contracts'
import { streamRunId } from './ids.ts'
import { columnLineage, columnSources, type ColumnSource } from './lineage-columns.ts'
import { eventSchema, facet, producer, version, type LineageEvent, type SchemaField } from './lineage-event.ts'
import type { PlannedStream } from './plan.ts'
import { summaryOf, type RuleResult } from './quality-results.ts'
import type { Counts, SyncOptions } from './types.ts'

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null

/** `integer`, `string(date-time)`, `array`: the JSON Schema's own words, with null left out of a choice. */
const typeName = (schema: unknown): string => {
  if (!isObject(schema)) return 'any'
  const { type, format, anyOf } = schema
  if (Array.isArray(anyOf)) return [...new Set(anyOf.map(typeName))].filter((name) => name !== 'null').join(' | ')
  const name = Array.isArray(type)
    ? type.filter((one) => one !== 'null').join(' | ')
    : typeof type === 'string'
      ? type
      : 'any'
  return typeof format === 'string' ? `${name}(${format})` : name
}

const fieldsOf = (schema: JsonSchema): SchemaField[] =>
  Object.entries(isObject(schema['properties']) ? schema['properties'] : {}).map(([name, property], index) => ({
    name,
    type: typeName(property),
    ...(isObject(property) && typeof property['description'] === 'string' && { description: property['description'] }),
    ordinal_position: index + 1,
  }))

/** One side of a stream's job. */
export interface Side {
  readonly partner: string
  /** How lineage calls it. */
  readonly dataset: DatasetName
  readonly schema: JsonSchema
}
/** One stream of a run, as OpenLineage sees it: a job of its own under the pipeline's run. */
export interface StreamJob {
  readonly run: string
  readonly pipeline: string
  readonly stream: string
  readonly namespace: string
  /** Absent for a run that was found dead: only its end is reported. */
  readonly data?:
    | {
        readonly source: Side
        readonly sink: Side
        readonly columns: readonly ColumnSource[]
        /** The table is replaced when the stream has ended. */
        readonly overwrites: boolean
      }
    | undefined
}

/** Describes a stream of a run; names come from whoever starts the sync, from the table, from the connector, or are made of connector and connection. */
export const jobOf = (planned: PlannedStream, run: string, options: SyncOptions): StreamJob => {
  const { pipeline, lineage, namespace = 'default' } = options
  const { source, sink, sinkName } = pipeline
  const { stream, table, target, origin } = planned
  const input = lineage?.dataset?.('source', stream) ?? origin.dataset ?? source.dataset?.(stream)
  const output = lineage?.dataset?.('sink', table) ?? sink.dataset?.(table, sinkName)
  const named = { namespace: `${source.manifest.id}://${source.name}`, name: stream }
  const written = { namespace: `${sink.manifest.id}://${sink.name}`, name: table }
  return {
    run,
    pipeline: pipeline.name,
    stream,
    namespace,
    data: {
      source: { partner: source.name, dataset: input ?? named, schema: origin.schema },
      sink: { partner: sink.name, dataset: output ?? written, schema: target.schema },
      columns: columnSources(planned),
      overwrites: planned.disposition === 'overwrite',
    },
  }
}

/** A URI as RFC 3986 has it, of which OpenLineage's schema asks; of its brackets those of an address alone. */
const plainUri = /^[a-z][a-z\d+.-]*:(?:\/\/\[[\da-f:.]+\](?=[:/]|$))?(?:[\w.~:/?#@!$&'()*+,;=-]|%[\da-f]{2})*$/i
/** Where a dataset is, as a URI, whatever characters its name has. */
const uriOf = ({ namespace, name }: DatasetName): string => {
  const whole = toUSVString(namespace.includes(':') ? namespace : `${namespace}://${name}`)
  if (namespace.includes(':') && plainUri.test(whole)) return whole
  const encoded = encodeURI(whole).replaceAll(/[[\]?#]/g, encodeURIComponent)
  return plainUri.test(encoded) ? encoded : `urn:ecokit:${encodeURIComponent(whole)}`
}

const describedAs = ({ partner, dataset, schema }: Side) => ({
  schema: facet('schema', { fields: fieldsOf(schema) }),
  dataSource: facet('dataSource', { name: partner, uri: uriOf(dataset) }),
})

/** What the quality rules said, under the names that the columns have at the source. */
const assertionsOf = (results: readonly RuleResult[], fieldOf: (column: string) => string) => ({
  assertions: results.map(({ name, rule, field, severity, passed, ...found }) => ({
    assertion: rule === 'sql' ? 'custom_sql' : rule,
    success: passed,
    ...(field !== '' && { column: field.split(',').map(fieldOf).join(',') }),
    severity: severity === 'stop' ? 'error' : 'warn',
    name,
    actual: summaryOf({ rule, ...found }),
  })),
})
const metricsOf = (
  counts: Pick<Counts, 'read' | 'bytes'>,
  results: readonly RuleResult[],
  fieldOf: (column: string) => string,
) => ({
  rowCount: counts.read,
  bytes: counts.bytes,
  columnMetrics: Object.fromEntries(
    results
      .filter(({ rule }) => rule === 'not_null')
      .map(({ field, failed, checked }) => [fieldOf(field), { nullCount: failed, count: checked - failed }]),
  ),
})

/** Writes one event about a stream's job. */
export const describeJob = (
  { run, pipeline, stream, namespace, data }: StreamJob,
  event: {
    readonly type: LineageEvent['eventType']
    /** Epoch milliseconds. */
    readonly at: number
    readonly counts?: Pick<Counts, 'read' | 'written' | 'bytes'> | undefined
    readonly error?: string | undefined
    readonly quality?: readonly RuleResult[] | undefined
  },
): LineageEvent => {
  const { type, at, counts, error, quality = [] } = event
  const fieldOf = (column: string): string => data?.columns.find((one) => one.column === column)?.field ?? column
  const inputFacets = {
    ...(counts && { inputStatistics: facet('inputStatistics', { rowCount: counts.read, size: counts.bytes }) }),
    ...(quality.length > 0 && {
      dataQualityAssertions: facet('dataQualityAssertions', assertionsOf(quality, fieldOf)),
    }),
    ...(counts &&
      type === 'COMPLETE' && { dataQualityMetrics: facet('dataQualityMetrics', metricsOf(counts, quality, fieldOf)) }),
  }
  const outputStatistics =
    counts &&
    facet('outputStatistics', {
      rowCount: counts.written,
      // What was read is what was handed over, where nothing was left out.
      ...(counts.written === counts.read && { size: counts.bytes }),
    })
  return {
    eventType: type,
    eventTime: new Date(at).toISOString(),
    producer,
    schemaURL: eventSchema,
    run: {
      runId: streamRunId(run, stream),
      facets: {
        parent: facet('parent', { run: { runId: run }, job: { namespace, name: pipeline } }),
        processing_engine: facet('processing_engine', { version, name: 'ecokit', openlineageAdapterVersion: version }),
        ...(error !== undefined && {
          errorMessage: facet('errorMessage', { message: error, programmingLanguage: 'TypeScript' }),
        }),
      },
    },
    job: {
      namespace,
      name: `${pipeline}.${stream}`,
      facets: { jobType: facet('jobType', { processingType: 'BATCH', integration: 'ECOKIT', jobType: 'SYNC' }) },
    },
    inputs: data
      ? [
          {
            ...data.source.dataset,
            facets: describedAs(data.source),
            ...(Object.keys(inputFacets).length > 0 && { inputFacets }),
          },
        ]
      : [],
    outputs: data
      ? [
          {
            ...data.sink.dataset,
            facets: {
              ...describedAs(data.sink),
              columnLineage: facet('columnLineage', columnLineage(data.source.dataset, data.columns)),
              ...(data.overwrites &&
                type === 'COMPLETE' && {
                  lifecycleStateChange: facet('lifecycleStateChange', { lifecycleStateChange: 'OVERWRITE' as const }),
                }),
            },
            ...(outputStatistics && { outputFacets: { outputStatistics } }),
          },
        ]
      : [],
  }
}
