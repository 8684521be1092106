export { openHealthMonitor } from './monitor.ts'
export type {
  HealthChange,
  HealthCheck,
  HealthMonitor,
  HealthMonitorOptions,
  HealthSummary,
  Watched,
} from './monitor.ts'
export type { Clock } from './probe.ts'
export type { HealthState, Keep } from './records.ts'
export { defaultRules, nextStanding } from './rules.ts'
export type { Rules, Standing } from './rules.ts'
