import { createRequire } from 'node:module'
import type { JsonSchema } from '@ecokit/contracts'
import { z } from 'zod'
import { streamRunId } from './ids.ts'
import type { Counts } from './types.ts'

/** OpenLineage's name of a dataset: https://openlineage.io/docs/spec/naming */
export interface DatasetName {
  /** The data source: `postgres://host:5432`, `file`, … */
  readonly namespace: string
  /** Unique within it: `database.schema.table`, a path, … */
  readonly name: string
}

const producer = 'https://github.com/ecokit/ecosystem-integration-framework'
const { version } = createRequire(import.meta.url)('../package.json') as { version: string }
/** The versions of https://github.com/OpenLineage/OpenLineage/tree/main/spec that these events are written by. */
const eventSchema = 'https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent'
const facetSchemas = {
  parent: '1-2-0/ParentRunFacet',
  processing_engine: '1-1-1/ProcessingEngineRunFacet',
  errorMessage: '1-0-1/ErrorMessageRunFacet',
  jobType: '2-0-4/JobTypeJobFacet',
  schema: '1-2-0/SchemaDatasetFacet',
  dataSource: '1-0-1/DatasourceDatasetFacet',
  inputStatistics: '1-0-0/InputStatisticsInputDatasetFacet',
  outputStatistics: '1-0-2/OutputStatisticsOutputDatasetFacet',
} as const
type FacetName = keyof typeof facetSchemas

const base = { _producer: z.url(), _schemaURL: z.url() }
const jobName = z.object({ namespace: z.string(), name: z.string() })
const statistics = z.object({ ...base, rowCount: z.int().optional(), size: z.int().optional() })
const field = z.object({
  name: z.string(),
  type: z.string().optional(),
  description: z.string().optional(),
  ordinal_position: z.int().optional(),
})
const dataset = z.object({
  namespace: z.string(),
  name: z.string(),
  facets: z
    .object({
      schema: z.object({ ...base, fields: z.array(field) }).optional(),
      dataSource: z.object({ ...base, name: z.string(), uri: z.string() }).optional(),
    })
    .optional(),
})

/** An OpenLineage run event as this engine writes it: https://openlineage.io/spec/2-0-2/OpenLineage.json */
export const lineageEvent = z.object({
  eventType: z.enum(['START', 'RUNNING', 'COMPLETE', 'ABORT', 'FAIL']),
  eventTime: z.iso.datetime(),
  producer: z.url(),
  schemaURL: z.url(),
  run: z.object({
    runId: z.uuid(),
    facets: z.object({
      parent: z.object({ ...base, run: z.object({ runId: z.uuid() }), job: jobName }),
      processing_engine: z.object({
        ...base,
        version: z.string(),
        name: z.string(),
        openlineageAdapterVersion: z.string(),
      }),
      errorMessage: z.object({ ...base, message: z.string(), programmingLanguage: z.string() }).optional(),
    }),
  }),
  job: jobName.extend({
    facets: z.object({
      jobType: z.object({ ...base, processingType: z.string(), integration: z.string(), jobType: z.string() }),
    }),
  }),
  inputs: z.array(dataset.extend({ inputFacets: z.object({ inputStatistics: statistics }).optional() })),
  outputs: z.array(dataset.extend({ outputFacets: z.object({ outputStatistics: statistics }).optional() })),
})
export type LineageEvent = z.output<typeof lineageEvent>

const facet = <T extends object>(name: FacetName, content: T) => ({
  _producer: producer,
  _schemaURL: `https://openlineage.io/spec/facets/${facetSchemas[name]}.json`,
  ...content,
})

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

const fieldsOf = (schema: JsonSchema): z.output<typeof field>[] =>
  Object.entries(isObject(schema['properties']) ? schema['properties'] : {}).map(([name, property], index) => ({
    name,
    type: typeName(property),
    ...(isObject(property) && typeof property['description'] === 'string' && { description: property['description'] }),
    ordinal_position: index + 1,
  }))

/** One side of a stream's job. */
export interface Side {
  readonly partner: string
  readonly connector: string
  /** The stream at the source, the table at the sink. */
  readonly name: string
  /** How the field calls it; default `<connector>://<partner>` and the name. */
  readonly dataset?: DatasetName | undefined
}
/** One stream of a run, as OpenLineage sees it: a job of its own under the pipeline's run. */
export interface StreamJob {
  readonly run: string
  readonly pipeline: string
  readonly stream: string
  readonly namespace: string
  /** Absent for a run that was found dead: only its end is reported. */
  readonly data?: { readonly source: Side; readonly sink: Side; readonly schema: JsonSchema } | undefined
}

const datasetOf = ({ partner, connector, name, dataset: named }: Side, schema: JsonSchema) => {
  const { namespace, name: full } = named ?? { namespace: `${connector}://${partner}`, name }
  const uri = namespace.includes(':') ? namespace : `${namespace}://${full}`
  return {
    namespace,
    name: full,
    facets: {
      schema: facet('schema', { fields: fieldsOf(schema) }),
      dataSource: facet('dataSource', { name: partner, uri }),
    },
  }
}

/** Writes one event about a stream's job. */
export const describeJob = (
  { run, pipeline, stream, namespace, data }: StreamJob,
  event: {
    readonly type: LineageEvent['eventType']
    /** Epoch milliseconds. */
    readonly at: number
    readonly counts?: Pick<Counts, 'read' | 'written' | 'bytes'> | undefined
    readonly error?: string | undefined
  },
): LineageEvent => {
  const { type, at, counts, error } = event
  const input = counts && { inputStatistics: facet('inputStatistics', { rowCount: counts.read, size: counts.bytes }) }
  const output = counts && { outputStatistics: facet('outputStatistics', { rowCount: counts.written }) }
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
    inputs: data ? [{ ...datasetOf(data.source, data.schema), ...(input && { inputFacets: input }) }] : [],
    outputs: data ? [{ ...datasetOf(data.sink, data.schema), ...(output && { outputFacets: output }) }] : [],
  }
}
