import type {
  MlflowExperiment,
  MlflowMetric,
  MlflowModelVersion,
  MlflowRegisteredModel,
  MlflowRun,
} from '@ecokit/protocol-mlflow-rest'
import type { Experiment, MetricPoint, ModelVersion, RegisteredModel, Run, RunStatus } from '@ecokit/template-mlops'
import { iso } from './times.ts'

/** MLflow's words are ours in capitals (RunStatus in mlflow/protos/service.proto); another one is left to the output's schema to refuse. */
const lower = <T extends string>(word: string): T => word.toLowerCase() as T
export const upper = (status: RunStatus): string => status.toUpperCase()

export const experimentOf = ({ createdAt, updatedAt, ...rest }: MlflowExperiment): Experiment => ({
  ...rest,
  lifecycle: lower(rest.lifecycle),
  createdAt: iso(createdAt),
  updatedAt: iso(updatedAt),
})

export const lastValues = (metrics: readonly MlflowMetric[]): Record<string, number> =>
  Object.fromEntries(metrics.map(({ key, value }) => [key, value]))

export const runOf = ({ startedAt, endedAt, metrics, ...rest }: MlflowRun): Run => ({
  ...rest,
  status: lower(rest.status),
  lifecycle: lower(rest.lifecycle),
  startedAt: iso(startedAt),
  endedAt: iso(endedAt),
  metrics: lastValues(metrics),
})

export const pointOf = ({ key, value, step, timestamp }: MlflowMetric): MetricPoint => ({
  key,
  value,
  step,
  timestamp: iso(Number(timestamp)),
})

export const modelOf = ({ createdAt, updatedAt, ...rest }: MlflowRegisteredModel): RegisteredModel => ({
  ...rest,
  createdAt: iso(createdAt),
  updatedAt: iso(updatedAt),
})

/** ModelVersionStatus in mlflow/protos/model_registry.proto. */
const versionStates: Readonly<Record<string, ModelVersion['status']>> = {
  PENDING_REGISTRATION: 'pending',
  FAILED_REGISTRATION: 'failed',
  READY: 'ready',
}

/** A version that was asked for by itself, which is told with its aliases. */
export const versionOf = (version: MlflowModelVersion): ModelVersion => ({
  name: version.name,
  version: version.version,
  description: version.description,
  status: versionStates[version.status] ?? lower(version.status),
  source: version.source,
  runId: version.runId,
  stage: version.stage === 'None' ? undefined : version.stage,
  createdAt: iso(version.createdAt),
  updatedAt: iso(version.updatedAt),
  tags: version.tags,
  aliases: version.aliases,
})
/** A version out of a search, which leaves the aliases out. */
export const foundVersionOf = (version: MlflowModelVersion): ModelVersion => ({
  ...versionOf(version),
  aliases: undefined,
})
