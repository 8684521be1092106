import { z } from '@hono/zod-openapi'
import { count, disposition, orNull, schemaOfSchema, time } from './schemas.ts'

const fault = z.object({ code: z.string(), message: z.string() })
const runStatus = z.enum(['running', 'completed', 'failed', 'cancelled'])

export const change = z
  .object({
    kind: z.enum(['table_added', 'column_added', 'column_removed', 'type_changed', 'key_lost', 'cursor_lost']),
    field: z.string(),
    before: z.string().optional(),
    after: z.string().optional(),
  })
  .openapi('SchemaChange')

const counts = {
  read: count(),
  written: count(),
  quarantined: count(),
  deduplicated: count(),
  deleted: count(),
  requests: count(),
  bytes: count(),
}

/** A run, its streams taken together. */
export const runSummary = z
  .object({
    id: z.string(),
    pipeline: z.string(),
    source: z.string(),
    sink: z.string(),
    trigger: z.enum(['manual', 'schedule']),
    full: z.boolean(),
    backfill: z
      .object({ since: z.string().optional(), until: z.string().optional() })
      .optional()
      .describe('Where the run was a backfill: its window of the cursor, `since` inclusive, `until` exclusive'),
    status: runStatus,
    startedAt: time(),
    endedAt: time().nullable(),
    warnings: z.array(z.string()).readonly(),
    error: fault.optional(),
    totals: z.object({ streams: count().describe('How many streams it has'), ...counts }),
  })
  .openapi('RunSummary')

/** A run with each of its streams. */
export const run = runSummary
  .extend({
    streams: z
      .array(
        z.object({
          stream: z.string(),
          table: z.string(),
          mode: z.enum(['full_refresh', 'incremental', 'reconcile', 'backfill']),
          disposition,
          status: z.enum(['waiting', 'running', 'completed', 'failed', 'cancelled']),
          ...counts,
          startedAt: time().nullable(),
          endedAt: time().nullable(),
          durationMs: z.number(),
          expected: count()
            .optional()
            .describe('What the last complete pass over everything read, where this is one too; it may well read more'),
          leftMs: z.number().optional().describe('About how long is left, while it runs, by what is expected of it'),
          drift: z.array(change).readonly().describe('How its schema differs from what the pipeline had agreed to'),
          error: fault.optional(),
        }),
      )
      .readonly(),
  })
  .openapi('Run')

const schedule = z.object({
  cron: z.string(),
  timezone: z.string(),
  jitterMs: count(),
  missed: z.enum(['skip', 'catch_up']),
})

/** What comes next for one pipeline. */
export const scheduled = z
  .object({
    pipeline: z.string(),
    everyMs: count().nullable(),
    schedule: schedule.nullable(),
    nextAt: time().nullable(),
    missed: count().describe('How many of its times have passed since it was last served; at most 1,000'),
    lastRun: orNull(runSummary),
  })
  .openapi('Scheduled')

/** How a run is wanted. */
export const wanted = z
  .strictObject({
    full: z.boolean().default(false).describe('Reads everything, whatever the checkpoints say'),
    streams: z.array(z.string()).min(1).optional().describe('Only these; default all of the pipeline'),
    backfill: z
      .strictObject({ since: z.string().min(1).optional(), until: z.string().min(1).optional() })
      .refine(({ since, until }) => since !== undefined || until !== undefined, {
        path: ['since'],
        message: 'missing; a backfill needs `since`, `until` or both',
      })
      .optional()
      .describe('Reads this window of the cursor again and leaves the checkpoints as they are'),
  })
  .refine(({ full, backfill }) => !full || backfill === undefined, {
    path: ['full'],
    message: 'a backfill reads its window; remove one of the two',
  })
  .openapi('Wanted')

export const contract = z
  .object({
    pipeline: z.string(),
    stream: z.string(),
    version: z.int(),
    schema: schemaOfSchema().describe('JSON Schema of the table'),
    primaryKey: z.array(z.string()).readonly(),
    cursor: z.string().optional(),
    paused: z.array(change).readonly().nullable().describe('Why the stream waits for somebody; null: it does not'),
    updatedAt: time(),
  })
  .openapi('StreamContract')

export const quality = z
  .object({
    run: z.string(),
    pipeline: z.string(),
    stream: z.string(),
    name: z.string(),
    rule: z.string(),
    field: z.string().describe('With commas between several; empty for the table as a whole'),
    severity: z.enum(['warn', 'quarantine', 'stop']),
    passed: z.boolean(),
    checked: count(),
    failed: count(),
    message: z.string(),
    at: time(),
  })
  .openapi('QualityResult')

export const dataset = z
  .object({ namespace: z.string(), name: z.string(), fields: z.array(z.string()).readonly() })
  .openapi('Dataset')

const node = z.object({ namespace: z.string(), name: z.string(), field: z.string().optional() })
export const lineageGraph = z
  .object({
    nodes: z.array(node).readonly(),
    edges: z
      .array(
        z.object({
          from: node,
          to: node,
          pipeline: z.string(),
          stream: z.string(),
          transformation: z.string(),
          run: z.string(),
          at: time(),
        }),
      )
      .readonly(),
  })
  .openapi('LineageGraph')

export const pipeline = z
  .object({
    name: z.string(),
    source: z.string(),
    sink: z.string(),
    streams: z.array(z.string()).readonly().describe('Empty: every stream that the source has'),
    everyMs: count().nullable(),
    schedule: schedule.nullable(),
    nextAt: time().nullable().describe('When it runs by itself; null where nothing is planned, or nobody can say'),
    paused: z
      .array(z.object({ stream: z.string(), changes: z.array(change).readonly() }))
      .readonly()
      .describe('Streams that wait until somebody accepts how their schema has changed'),
    lastRun: orNull(runSummary),
    running: z.boolean(),
    problem: fault.nullable().describe('Why the last attempt of this server did not even begin'),
  })
  .openapi('Pipeline')

export const quarantined = z
  .object({
    run: z.string(),
    pipeline: z.string(),
    stream: z.string(),
    field: z.string(),
    reason: z.string(),
    record: z.unknown().describe('The record; its text where it was cut off at 64 KiB'),
    at: time(),
  })
  .openapi('Quarantined')
