import { z } from '@hono/zod-openapi'

export const circuit = z.enum(['closed', 'open', 'half_open'])
export const time = () => z.string().meta({ format: 'date-time' })
// Not `.nullable()`: of a named schema that becomes an allOf which null does not fit (@asteasolutions/zod-to-openapi 9.1).
export const orNull = <S extends z.ZodType>(schema: S) => z.union([schema, z.null()])
export const count = () => z.int().min(0)
/** A JSON Schema, as `jsonSchema()` of the contracts makes it. */
export const schemaOfSchema = () => z.record(z.string(), z.unknown())

export const healthStatus = z.enum(['healthy', 'degraded', 'unhealthy', 'unknown'])

export const problem = z
  .object({
    error: z.object({
      code: z.string(),
      message: z.string(),
      field: z.string().optional().describe('The dotted path of what was refused'),
    }),
  })
  .openapi('Problem')

export const health = z
  .object({
    status: healthStatus,
    code: z.string().optional(),
    message: z.string().optional(),
    latencyMs: z.number().optional(),
    checkedAt: time(),
    account: z.string().optional(),
    version: z.string().optional(),
    parts: z.record(z.string(), z.enum(['ok', 'denied', 'unavailable'])).optional(),
    circuit: circuit.optional().describe('Of the calls to the partner at the time of the check'),
    oldTls: z.boolean().optional().describe('True where TLS 1.2 is spoken because the connection asks for it'),
  })
  .openapi('Health')

/** The state after hysteresis; `since` is when it was entered. */
export const healthState = health.extend({ since: time(), partner: z.string() }).openapi('HealthState')

const point = z.object({ status: healthStatus, latencyMs: z.number().nullable(), checkedAt: time() })

export const tier = z.enum(['enterprise', 'professional', 'community'])
const contract = z.object({ start: z.string().nullable(), end: z.string().nullable() })

export const partner = z
  .object({
    name: z.string(),
    connector: z.string(),
    title: z.string(),
    config: z.record(z.string(), z.unknown()).describe('Never holds a secret'),
    credentials: z.string().nullable().describe('The name of a reference in ecosystem.yaml'),
    tier,
    owner: z.string().nullable(),
    tags: z.array(z.string()).readonly(),
    contract: contract.nullable(),
    origin: z.enum(['file', 'api']),
    check: z.object({ everyMs: count(), timeoutMs: count() }),
    policy: z
      .record(z.string(), z.unknown())
      .describe("What its entry says about the pace of calls, over its connector's word; times are milliseconds"),
    circuit: circuit
      .nullable()
      .describe(
        'Of the calls of this server: `open` refuses them for a while, `half_open` tries one; null before the first',
      ),
    health: orNull(healthState),
    history: z.array(point).readonly().describe('The last 60 checks, oldest first'),
  })
  .openapi('Partner')

// Judged by the registry, whose words for a wrong config are the same in the editor, on the command line and here; these only describe it.
const described = (type: 'string' | 'object' | 'array', description: string) =>
  z
    .unknown()
    .optional()
    .openapi({ type, description, ...(type === 'array' ? { items: { type: 'string' } } : {}) })
const changes = {
  config: described('object', "The connector's own settings, as its configSchema says"),
  credentials: described('string', 'The name of an entry of `credentials` in ecosystem.yaml; anything else is refused'),
  tier: described('string', 'enterprise, professional or community'),
  owner: described('string', 'Whom to ask about this partner'),
  tags: described('array', 'Words to find it by'),
  contract: described('object', '`start` and `end` as dates: 2026-01-31'),
  check: described('object', '`every` and `timeout` as durations: 30s'),
  policy: described(
    'object',
    'The fields of `policy` in ecosystem.yaml, of which null takes one away; for a partner of the file until it is read again',
  ),
}
/** What a client may say about a new partner. */
export const newPartner = z
  .looseObject({
    name: z.unknown().openapi({ type: 'string' }),
    connector: z.unknown().openapi({ type: 'string', description: 'The id of a connector' }),
    ...changes,
  })
  .openapi('NewPartner')
export const changedPartner = z
  .looseObject(changes)
  .describe('The fields to change; null takes one away')
  .openapi('ChangedPartner')

const operation = z.object({
  name: z.string(),
  title: z.string().nullable(),
  effect: z.enum(['read', 'write', 'destroy']),
  many: z.boolean(),
  input: schemaOfSchema(),
  output: schemaOfSchema(),
})
const encoding = z.enum(['records', 'ndjson', 'arrow'])
export const disposition = z.enum(['append', 'overwrite', 'merge'])

export const connector = z
  .object({
    id: z.string(),
    title: z.string(),
    description: z.string().nullable(),
    configSchema: schemaOfSchema(),
    auth: z.array(z.object({ name: z.string(), kind: z.string(), schema: schemaOfSchema() })).readonly(),
    capabilities: z
      .array(z.object({ key: z.string(), id: z.string(), version: z.int(), operations: z.array(operation).readonly() }))
      .readonly(),
    streams: z
      .array(
        z.object({
          name: z.string(),
          primaryKey: z.array(z.string()).readonly().optional(),
          cursor: z.string().optional(),
          schema: schemaOfSchema(),
        }),
      )
      .readonly(),
    discovers: z.boolean(),
    sinks: z
      .array(
        z.object({
          name: z.string(),
          accepts: z.array(encoding).readonly(),
          dispositions: z.array(disposition).readonly(),
          deletes: z
            .array(z.enum(['hard', 'soft']))
            .readonly()
            .describe('What it can do with records that are gone'),
          commit: z.enum(['transaction', 'idempotent', 'at_least_once']),
          schema: schemaOfSchema().optional(),
        }),
      )
      .readonly(),
  })
  .openapi('Connector')

export const stream = z
  .object({
    name: z.string(),
    primaryKey: z.array(z.string()).readonly().optional(),
    cursor: z.string().optional(),
    schema: schemaOfSchema(),
    modes: z
      .array(z.enum(['full_refresh', 'incremental']))
      .readonly()
      .describe('How it can be read; empty where it cannot'),
    discovered: z.boolean(),
    fault: z
      .object({ code: z.string(), message: z.string() })
      .optional()
      .describe('Why a table that was found cannot be described; its schema says nothing then'),
  })
  .openapi('Stream')

export const records = z
  .object({
    records: z.array(z.record(z.string(), z.unknown())).readonly(),
    truncated: z.boolean().describe('True where the stream holds more'),
  })
  .openapi('Records')

export const called = z
  .object({
    result: z.unknown().optional(),
    results: z.array(z.unknown()).readonly().optional(),
    truncated: z.boolean().optional(),
  })
  .describe('`result` of an operation that answers once, `results` of one that answers with a sequence')
  .openapi('Called')

export const summary = z
  .object({
    partners: z.object({
      total: count(),
      healthy: count(),
      degraded: count(),
      unhealthy: count(),
      unknown: count(),
    }),
    pipelines: count(),
    runs: z.object({ running: count(), completed: count(), failed: count(), cancelled: count() }),
    version: z.string(),
  })
  .openapi('Summary')

export type StreamView = z.input<typeof stream>
export type ConnectorView = z.input<typeof connector>
export type PartnerView = z.input<typeof partner>
