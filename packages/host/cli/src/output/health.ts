import type { HealthStatus } from '@ecokit/contracts'
import type { Shade } from './terminal.ts'

export const healthShade: Readonly<Record<HealthStatus, Shade>> = {
  healthy: 'green',
  degraded: 'yellow',
  unhealthy: 'red',
  unknown: 'dim',
}

export const runShade: Readonly<Record<string, Shade>> = {
  completed: 'green',
  running: 'cyan',
  waiting: 'dim',
  cancelled: 'yellow',
  failed: 'red',
}
