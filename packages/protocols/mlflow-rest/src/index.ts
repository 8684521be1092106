export { openMlflowRest, type MlflowRest, type MlflowRestOptions } from './client.ts'
export { explain } from './explain.ts'
export { limits, type BatchToLog, type MetricToLog } from './limits.ts'
export { experiment, modelVersion, registeredModel } from './wire.ts'
export type { Page, Search, View } from './calls.ts'
export type { RunSearch } from './tracking.ts'
export type {
  MlflowExperiment,
  MlflowFile,
  MlflowMetric,
  MlflowModelVersion,
  MlflowRegisteredModel,
  MlflowRun,
} from './wire.ts'
