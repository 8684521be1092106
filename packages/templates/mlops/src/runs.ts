import { capability, double, many, one } from '@ecokit/contracts'
import { z } from 'zod'
import { MetricInput } from './metrics.ts'
import { filter, givenTime, id, lifecycle, limit, nothing, orderBy, tags, time, view } from './shared.ts'

/** Where a run stands. `killed` was ended from outside. */
export const RunStatus = z.enum(['scheduled', 'running', 'finished', 'failed', 'killed'])
export type RunStatus = z.output<typeof RunStatus>

/** One training, with what it was given and what came of it. */
export const Run = z.object({
  id: id(),
  experimentId: id(),
  name: z.string().optional(),
  status: RunStatus,
  lifecycle: lifecycle(),
  user: z.string().optional(),
  startedAt: time().optional(),
  /** Absent while it runs. */
  endedAt: time().optional(),
  /** Where its artifacts are kept, as a URI. */
  artifactUri: z.string().optional(),
  params: z.record(z.string(), z.string()),
  /** The last value of each metric; it may be NaN or infinite. */
  metrics: z.record(z.string(), double()),
  tags: tags(),
})
export type Run = z.output<typeof Run>

const byId = z.strictObject({ id: id() })

/** Runs: version 1. */
export const runs = capability({
  id: 'mlops.runs',
  version: 1,
  operations: {
    search: many({
      title: 'Search runs',
      effect: 'read',
      input: z.strictObject({
        experimentId: id().optional().describe('Only runs of this experiment'),
        experimentIds: z.array(id()).optional().describe('Only runs of these experiments; all when both are left out'),
        filter: filter(),
        orderBy: orderBy(),
        view: view(),
        limit: limit(),
      }),
      output: Run,
    }),
    get: one({ title: 'Get a run', effect: 'read', input: byId, output: Run }),
    create: one({
      title: 'Start a run',
      effect: 'write',
      input: z.strictObject({
        experimentId: id(),
        name: z.string().min(1).optional(),
        user: z.string().optional(),
        startedAt: givenTime().optional().describe('Now when left out'),
        tags: tags().optional(),
      }),
      output: Run,
    }),
    update: one({
      title: 'Change or end a run',
      effect: 'write',
      input: z.strictObject({
        id: id(),
        name: z.string().min(1).optional(),
        status: RunStatus.optional(),
        endedAt: givenTime().optional().describe('Now when left out and the status is a final one'),
      }),
      output: Run,
    }),
    delete: one({ title: 'Delete a run', effect: 'destroy', idempotent: true, input: byId, output: nothing() }),
    restore: one({ title: 'Restore a deleted run', effect: 'write', idempotent: true, input: byId, output: nothing() }),
    setTag: one({
      title: 'Set a tag on a run',
      effect: 'write',
      idempotent: true,
      input: z.strictObject({ id: id(), key: z.string().min(1), value: z.string() }),
      output: nothing(),
    }),
    deleteTag: one({
      title: 'Delete a tag from a run',
      effect: 'destroy',
      input: z.strictObject({ id: id(), key: z.string().min(1) }),
      output: nothing(),
    }),
    logParam: one({
      title: 'Log a parameter of a run',
      effect: 'write',
      idempotent: true,
      input: z.strictObject({ id: id(), key: z.string().min(1), value: z.string() }),
      output: nothing(),
    }),
    /** Any number of each; after an error some of it may be stored. */
    logBatch: one({
      title: 'Log parameters, tags and metrics of a run at once',
      effect: 'write',
      input: z.strictObject({
        id: id(),
        params: z.record(z.string(), z.string()).optional(),
        tags: tags().optional(),
        metrics: z.array(MetricInput).optional(),
      }),
      output: nothing(),
    }),
  },
})
