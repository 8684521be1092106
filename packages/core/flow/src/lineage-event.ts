import { createRequire } from 'node:module'
import { z } from 'zod'

/** Who writes the events. */
export const producer = 'https://github.com/ecokit/ecosystem-integration-framework'
export const { version } = createRequire(import.meta.url)('../package.json') as { version: string }
/** The versions of https://github.com/OpenLineage/OpenLineage/tree/main/spec that these events are written by. */
export const eventSchema = 'https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent'
const facetSchemas = {
  parent: '1-2-0/ParentRunFacet',
  processing_engine: '1-1-1/ProcessingEngineRunFacet',
  errorMessage: '1-0-1/ErrorMessageRunFacet',
  jobType: '2-0-4/JobTypeJobFacet',
  schema: '1-2-0/SchemaDatasetFacet',
  dataSource: '1-0-1/DatasourceDatasetFacet',
  columnLineage: '1-2-0/ColumnLineageDatasetFacet',
  lifecycleStateChange: '1-0-1/LifecycleStateChangeDatasetFacet',
  inputStatistics: '1-0-0/InputStatisticsInputDatasetFacet',
  dataQualityAssertions: '1-1-0/DataQualityAssertionsDatasetFacet',
  dataQualityMetrics: '1-0-3/DataQualityMetricsInputDatasetFacet',
  outputStatistics: '1-0-2/OutputStatisticsOutputDatasetFacet',
} as const

/** A facet with the two fields that each one has. */
export const facet = <T extends object>(name: keyof typeof facetSchemas, content: T) => ({
  _producer: producer,
  _schemaURL: `https://openlineage.io/spec/facets/${facetSchemas[name]}.json`,
  ...content,
})

const base = { _producer: z.url(), _schemaURL: z.url() }
const jobName = z.object({ namespace: z.string(), name: z.string() })
const statistics = z.object({ ...base, rowCount: z.int().optional(), size: z.int().optional() })
const field = z.object({
  name: z.string(),
  type: z.string().optional(),
  description: z.string().optional(),
  ordinal_position: z.int().optional(),
})
export type SchemaField = z.output<typeof field>
const inputField = z.object({
  namespace: z.string(),
  name: z.string(),
  field: z.string(),
  transformations: z
    .array(
      z.object({
        type: z.enum(['DIRECT', 'INDIRECT']),
        subtype: z.string(),
        description: z.string(),
        masking: z.boolean(),
      }),
    )
    .optional(),
})
export type InputField = z.output<typeof inputField>
const described = {
  schema: z.object({ ...base, fields: z.array(field) }).optional(),
  dataSource: z.object({ ...base, name: z.string(), uri: z.string() }).optional(),
}
const dataset = z.object({ namespace: z.string(), name: z.string() })
const input = dataset.extend({
  facets: z.object(described).optional(),
  inputFacets: z
    .object({
      inputStatistics: statistics.optional(),
      dataQualityAssertions: z
        .object({
          ...base,
          assertions: z.array(
            z.object({
              assertion: z.string(),
              success: z.boolean(),
              column: z.string().optional(),
              severity: z.string(),
              name: z.string(),
              actual: z.string().optional(),
            }),
          ),
        })
        .optional(),
      dataQualityMetrics: z
        .object({
          ...base,
          rowCount: z.int(),
          bytes: z.int(),
          columnMetrics: z.record(z.string(), z.object({ nullCount: z.int(), count: z.int() })),
        })
        .optional(),
    })
    .optional(),
})
const output = dataset.extend({
  facets: z
    .object({
      ...described,
      columnLineage: z
        .object({
          ...base,
          fields: z.record(z.string(), z.object({ inputFields: z.array(inputField) })),
          dataset: z.array(inputField).optional(),
        })
        .optional(),
      lifecycleStateChange: z.object({ ...base, lifecycleStateChange: z.literal('OVERWRITE') }).optional(),
    })
    .optional(),
  outputFacets: z.object({ outputStatistics: statistics }).optional(),
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
  inputs: z.array(input),
  outputs: z.array(output),
})
export type LineageEvent = z.output<typeof lineageEvent>
