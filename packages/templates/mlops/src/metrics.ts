import { capability, double, many, one } from '@ecokit/contracts'
import { z } from 'zod'
import { givenTime, id, limit, nothing, step, time } from './shared.ts'

/** One value of a metric in a run's history. */
export const MetricPoint = z.object({
  key: z.string(),
  /** It may be NaN or infinite. */
  value: double(),
  step: step(),
  timestamp: time().optional(),
})
export type MetricPoint = z.output<typeof MetricPoint>

/** A value to log. */
export const MetricInput = z.strictObject({
  key: z.string().min(1),
  value: double(),
  step: step().optional().describe('0 when left out'),
  timestamp: givenTime().optional().describe('Now when left out'),
})
export type MetricInput = z.output<typeof MetricInput>

/** Metrics over the steps of a run: version 1. */
export const metrics = capability({
  id: 'mlops.metrics',
  version: 1,
  operations: {
    /** In the order in which the platform keeps them. */
    history: many({
      title: 'Read all values of a metric',
      effect: 'read',
      input: z.strictObject({ runId: id(), key: z.string().min(1), limit: limit() }),
      output: MetricPoint,
    }),
    log: one({
      title: 'Log a value of a metric',
      effect: 'write',
      input: MetricInput.extend({ runId: id() }),
      output: nothing(),
    }),
  },
})
