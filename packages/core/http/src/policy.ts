import { integrationError, type Policy, type Rate } from '@ecokit/contracts'

/** A policy with every field filled in; without `rate` only the partner's own replies set a pace. */
export interface Settings extends Required<Omit<Policy, 'rate'>> {
  readonly rate: Rate | undefined
}

const defaults: Settings = {
  rate: undefined,
  concurrency: 64,
  queue: 1_000,
  attempts: 4,
  backoffMs: 200,
  maxBackoffMs: 10_000,
  retryBudget: 0.2,
  breakAt: 0.5,
  breakAfter: 20,
  breakWindowMs: 30_000,
  breakForMs: 15_000,
  connectTimeoutMs: 10_000,
  deadlineMs: 120_000,
}
/** The least that makes sense; everything else is 0. */
const least: Readonly<Record<string, number>> = {
  'rate.perSecond': 1e-6,
  'rate.burst': 1,
  concurrency: 1,
  attempts: 1,
  breakAt: 1e-6,
  breakAfter: 1,
  breakWindowMs: 10,
  breakForMs: 1,
  connectTimeoutMs: 1,
  deadlineMs: 1,
}
const whole = new Set(['concurrency', 'queue', 'attempts', 'breakAfter'])

const check = (partner: string, field: string, value: unknown): void => {
  const from = least[field] ?? 0
  if (typeof value === 'number' && value >= from && value <= 1e12 && (!whole.has(field) || Number.isInteger(value)))
    return
  throw integrationError('invalid_config', {
    partner,
    what: `policy.${field} must be a${whole.has(field) ? ' whole' : ''} number of at least ${from}`,
    next: 'Correct the policy',
    details: { field: `policy.${field}` },
  })
}

/** Policies laid over each other, the last one's word first, over the defaults; throws `invalid_config` naming the field. */
export const settle = (partner: string, ...policies: readonly (Policy | undefined)[]): Settings => {
  const settings: Record<string, unknown> = { ...defaults }
  for (const policy of policies)
    for (const [field, value] of Object.entries(policy ?? {}) as [string, unknown][]) {
      if (value === undefined || !Object.hasOwn(defaults, field)) continue
      if (field === 'rate') {
        check(partner, 'rate.perSecond', (value as Rate | null)?.perSecond)
        check(partner, 'rate.burst', (value as Rate).burst)
      } else check(partner, field, value)
      settings[field] = value
    }
  return settings as unknown as Settings
}
