import { double, int64 } from '@ecokit/contracts'
import type {
  MlflowExperiment,
  MlflowMetric,
  MlflowModelVersion,
  MlflowRegisteredModel,
  MlflowRun,
} from '@ecokit/protocol-mlflow-rest'
import { z } from 'zod'
import { lastValues } from './entities.ts'
import { column } from './times.ts'

/** The streams' columns: MLflow's own names, times as ISO 8601 in UTC. */
const text = () => z.string().nullable()
const time = () => z.iso.datetime().nullable()
const pairs = () => z.record(z.string(), z.string())

export const experimentRow = z.object({
  experiment_id: z.string(),
  name: z.string(),
  artifact_location: text(),
  lifecycle_stage: z.string(),
  creation_time: time(),
  last_update_time: time(),
  tags: pairs(),
})
export const experimentRecord = (one: MlflowExperiment): z.input<typeof experimentRow> => ({
  experiment_id: one.id,
  name: one.name,
  artifact_location: one.artifactLocation ?? null,
  lifecycle_stage: one.lifecycle,
  creation_time: column(one.createdAt),
  last_update_time: column(one.updatedAt),
  tags: one.tags,
})

export const runRow = z.object({
  run_id: z.string(),
  experiment_id: z.string(),
  run_name: text(),
  user_id: text(),
  status: z.string(),
  lifecycle_stage: z.string(),
  start_time: time(),
  end_time: time(),
  artifact_uri: text(),
  params: pairs(),
  /** The last value of each metric. */
  metrics: z.record(z.string(), double()),
  tags: pairs(),
})
export const runRecord = (one: MlflowRun): z.input<typeof runRow> => ({
  run_id: one.id,
  experiment_id: one.experimentId,
  run_name: one.name ?? null,
  user_id: one.user ?? null,
  status: one.status,
  lifecycle_stage: one.lifecycle,
  start_time: column(one.startedAt),
  end_time: column(one.endedAt),
  artifact_uri: one.artifactUri ?? null,
  params: one.params,
  metrics: lastValues(one.metrics),
  tags: one.tags,
})

export const metricRow = z.object({
  run_id: z.string(),
  key: z.string(),
  value: double(),
  timestamp: z.iso.datetime(),
  step: int64(),
  is_nan: z.boolean(),
})
export const metricRecord = (runId: string, one: MlflowMetric): z.input<typeof metricRow> => ({
  run_id: runId,
  key: one.key,
  value: one.value,
  timestamp: column(one.timestamp) ?? '',
  step: one.step,
  is_nan: Number.isNaN(one.value),
})

export const registeredModelRow = z.object({
  name: z.string(),
  description: text(),
  creation_timestamp: time(),
  last_updated_timestamp: time(),
  tags: pairs(),
  /** The version at which each alias stands. */
  aliases: pairs(),
})
export const registeredModelRecord = (one: MlflowRegisteredModel): z.input<typeof registeredModelRow> => ({
  name: one.name,
  description: one.description ?? null,
  creation_timestamp: column(one.createdAt),
  last_updated_timestamp: column(one.updatedAt),
  tags: one.tags,
  aliases: one.aliases,
})

export const modelVersionRow = z.object({
  name: z.string(),
  version: z.string(),
  description: text(),
  user_id: text(),
  current_stage: text(),
  source: text(),
  run_id: text(),
  status: z.string(),
  status_message: text(),
  creation_timestamp: time(),
  last_updated_timestamp: time(),
  tags: pairs(),
})
export const modelVersionRecord = (one: MlflowModelVersion): z.input<typeof modelVersionRow> => ({
  name: one.name,
  version: one.version,
  description: one.description ?? null,
  user_id: one.user ?? null,
  current_stage: one.stage ?? null,
  source: one.source ?? null,
  run_id: one.runId ?? null,
  status: one.status,
  status_message: one.statusMessage ?? null,
  creation_timestamp: column(one.createdAt),
  last_updated_timestamp: column(one.updatedAt),
  tags: one.tags,
})
