export { acceptChanges, listContracts } from './agreement.ts'
export { newRunId } from './ids.ts'
export { lineageEvent, type LineageEvent } from './lineage-event.ts'
export { findLineage, listDatasets, type LineageEdge, type LineageGraph, type LineageNode } from './lineage-graph.ts'
export { planStreams } from './plan.ts'
export { listQuality, type QualityResult } from './quality-results.ts'
export { cancelRun, changedRuns, getRun, listQuarantine, listRuns, runLineage, type QuarantinedRecord } from './runs.ts'
export { dueRuns, openSchedule, servedUntil, type Due, type Schedule, type ScheduleOptions } from './schedule.ts'
export { recoverRuns, sync } from './sync.ts'
export type {
  CastType,
  ChangeMode,
  Counts,
  Failure,
  LineageTarget,
  Outlook,
  PassMode,
  Pipeline,
  PipelineStream,
  Progress,
  Run,
  RunResult,
  RunStatus,
  RunSummary,
  RunTotals,
  SchemaChange,
  SchemaContract,
  StreamContract,
  StreamRun,
  StreamStatus,
  SyncOptions,
  Trigger,
  Window,
} from './types.ts'
