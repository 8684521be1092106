export { newRunId } from './ids.ts'
export { lineageEvent, type DatasetName, type LineageEvent } from './lineage.ts'
export { planStreams } from './plan.ts'
export { cancelRun, getRun, listQuarantine, listRuns, runLineage, type QuarantinedRecord } from './runs.ts'
export { recoverRuns, sync } from './sync.ts'
export type {
  Counts,
  Failure,
  LineageTarget,
  PassMode,
  Pipeline,
  PipelineStream,
  Progress,
  Run,
  RunResult,
  RunStatus,
  StreamRun,
  StreamStatus,
  SyncOptions,
  Trigger,
} from './types.ts'
