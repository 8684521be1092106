import type { ErrorCode, Health, HealthStatus } from '@ecokit/contracts'

/** When a partner's state follows its checks. A change that is not in `patience` is believed at once. */
export interface Rules {
  /** How many checks in a row must fail with a code of `patience` before the state gets worse. Default 2. */
  readonly unhealthyAfter: number
  /** How many checks in a row must be better before the state gets better. Default 1. */
  readonly healthyAfter: number
  /** Codes that a working partner gives now and then. Default: `timeout`, `rate_limited`, `conflict` (a lock held elsewhere) and `overloaded` (our own calls wait in line). */
  readonly patience: readonly ErrorCode[]
}
export const defaultRules: Rules = {
  unhealthyAfter: 2,
  healthyAfter: 1,
  patience: ['timeout', 'rate_limited', 'conflict', 'overloaded'],
}

/** Where a partner stands after its checks, times in epoch milliseconds. */
export interface Standing {
  readonly status: HealthStatus
  readonly since: number
  /** Checks in a row that say otherwise: worse ones count up from zero, better ones down. */
  readonly streak: number
}

const rank: Readonly<Record<HealthStatus, number>> = { unknown: 0, healthy: 1, degraded: 2, unhealthy: 3 }

/** The standing after one more check. The first check ever, and any after `unknown`, is believed at once. */
export const nextStanding = (before: Standing | undefined, health: Health, at: number, rules: Rules): Standing => {
  const moved: Standing = { status: health.status, since: at, streak: 0 }
  if (before === undefined || before.status === 'unknown' || health.status === 'unknown') return moved
  if (before.status === health.status) return { ...before, streak: 0 }
  const direction = Math.sign(rank[health.status] - rank[before.status])
  const streak = Math.sign(before.streak) === direction ? before.streak + direction : direction
  const patient = health.code !== undefined && rules.patience.includes(health.code)
  const needed = direction < 0 ? rules.healthyAfter : patient ? rules.unhealthyAfter : 1
  return Math.abs(streak) >= needed ? moved : { ...before, streak }
}
