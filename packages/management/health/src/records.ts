import type { ErrorCode, Health, HealthStatus } from '@ecokit/contracts'
import type { Row, Store } from '@ecokit/store'
import { nextStanding } from './rules.ts'
import type { Rules } from './rules.ts'

/** A partner's health after hysteresis; `code` and `message` are those of the check that brought it there or confirmed it. */
export interface HealthState extends Health {
  readonly partner: string
  /** ISO 8601: when this status was entered. */
  readonly since: string
}

/** How long checks are kept, and how many for each partner. */
export interface Keep {
  /** Milliseconds. Default 24 hours. */
  readonly forMs: number
  /** Default 10,000. */
  readonly perPartner: number
}

type Details = Pick<Health, 'account' | 'version' | 'parts'>

const detailsOf = ({ account, version, parts }: Details): string =>
  JSON.stringify({
    ...(account === undefined ? {} : { account }),
    ...(version === undefined ? {} : { version }),
    ...(parts === undefined ? {} : { parts }),
  })

const toHealth = (row: Omit<Row<'health_checks'>, 'id'>): Health => ({
  status: row.status as HealthStatus,
  ...(row.code === null ? {} : { code: row.code as ErrorCode }),
  ...(row.message === null ? {} : { message: row.message }),
  ...(row.latency_ms === null ? {} : { latencyMs: row.latency_ms }),
  checkedAt: new Date(row.checked_at).toISOString(),
  ...(JSON.parse(row.details) as Details),
})
const toState = (row: Row<'health_states'>): HealthState => ({
  partner: row.partner,
  since: new Date(row.since).toISOString(),
  ...toHealth(row),
})

/** Stores a check and the state that follows from it, in one transaction, so that processes that check the same partner agree. */
export const recordCheck = (
  { db }: Store,
  partner: string,
  health: Health,
  rules: Rules,
): Promise<{ readonly before: HealthStatus; readonly state: HealthState }> =>
  db.transaction().execute(async (transaction) => {
    const at = Date.parse(health.checkedAt)
    const check = {
      partner,
      code: health.code ?? null,
      message: health.message ?? null,
      latency_ms: health.latencyMs ?? null,
      checked_at: at,
      details: detailsOf(health),
    }
    await transaction
      .insertInto('health_checks')
      .values({ ...check, status: health.status })
      .execute()
    const row = await transaction
      .selectFrom('health_states')
      .selectAll()
      .where('partner', '=', partner)
      .executeTakeFirst()
    const before = row === undefined ? undefined : { ...row, status: row.status as HealthStatus }
    const standing = nextStanding(before, health, at, rules)
    // A check that is not believed yet does not explain the state that still holds.
    const believed = before === undefined || standing.status === health.status
    const why = believed ? check : { ...check, code: before.code, message: before.message, details: before.details }
    const next = { ...why, status: standing.status, since: standing.since, streak: standing.streak }
    const { partner: _, ...changes } = next
    await transaction
      .insertInto('health_states')
      .values(next)
      .onConflict((conflict) => conflict.column('partner').doUpdateSet(changes))
      .execute()
    return { before: before?.status ?? 'unknown', state: toState(next) }
  })

/** Removes the checks that are too old or too many. */
export const pruneChecks = async ({ db }: Store, partner: string, now: number, keep: Keep): Promise<void> => {
  const last = await db
    .selectFrom('health_checks')
    .select('checked_at')
    .where('partner', '=', partner)
    .orderBy('checked_at', 'desc')
    .offset(keep.perPartner)
    .limit(1)
    .executeTakeFirst()
  await db
    .deleteFrom('health_checks')
    .where('partner', '=', partner)
    .where('checked_at', '<=', Math.max(last?.checked_at ?? 0, now - keep.forMs))
    .execute()
}

/** The last checks of a partner, oldest first, as charts draw them. */
export const readHistory = async ({ db }: Store, partner: string, limit: number): Promise<readonly Health[]> => {
  const rows = await db
    .selectFrom('health_checks')
    .selectAll()
    .where('partner', '=', partner)
    .orderBy('checked_at', 'desc')
    .orderBy('id', 'desc')
    .limit(limit)
    .execute()
  return rows.reverse().map(toHealth)
}

/** The state of every partner that was ever checked. */
export const readStates = async ({ db }: Store): Promise<readonly HealthState[]> =>
  (await db.selectFrom('health_states').selectAll().orderBy('partner').execute()).map(toState)

/** The state of one partner; undefined before its first check. */
export const readState = async ({ db }: Store, partner: string): Promise<HealthState | undefined> => {
  const row = await db.selectFrom('health_states').selectAll().where('partner', '=', partner).executeTakeFirst()
  return row === undefined ? undefined : toState(row)
}
