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

type Details = Pick<Health, 'account' | 'version' | 'parts' | 'circuit' | 'oldTls'>

const detailsOf = ({ account, version, parts, circuit, oldTls }: Details): string =>
  JSON.stringify({
    ...(account === undefined ? {} : { account }),
    ...(version === undefined ? {} : { version }),
    ...(parts === undefined ? {} : { parts }),
    ...(circuit === undefined ? {} : { circuit }),
    ...(oldTls === undefined ? {} : { oldTls }),
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

/** A check that was made and is to be stored. */
export interface Seen {
  readonly partner: string
  readonly health: Health
}
/** What the store made of a check: the status before it, and the state after it. */
export interface Recorded {
  readonly before: HealthStatus
  readonly state: HealthState
}

const toCheck = ({ partner, health }: Seen) => ({
  partner,
  status: health.status,
  code: health.code ?? null,
  message: health.message ?? null,
  latency_ms: health.latencyMs ?? null,
  checked_at: Date.parse(health.checkedAt),
  details: detailsOf(health),
})

const stateAfter = (row: Row<'health_states'> | undefined, seen: Seen, rules: Rules): Row<'health_states'> => {
  const check = toCheck(seen)
  if (row === undefined) return { ...check, ...nextStanding(undefined, seen.health, check.checked_at, rules) }
  const before = { status: row.status as HealthStatus, since: row.since, streak: row.streak }
  const standing = nextStanding(before, seen.health, check.checked_at, rules)
  // A check that is not believed yet does not explain the state that still holds.
  const { code, message, details } = standing.status === seen.health.status ? check : row
  return { ...check, ...standing, code, message, details }
}

/** Stores checks of different partners and the states that follow from them, in one transaction, so that processes that check the same partner agree. */
export const recordChecks = ({ db }: Store, seen: readonly Seen[], rules: Rules): Promise<readonly Recorded[]> =>
  db.transaction().execute(async (transaction) => {
    await transaction.insertInto('health_checks').values(seen.map(toCheck)).execute()
    const names = seen.map(({ partner }) => partner)
    const rows = await transaction.selectFrom('health_states').selectAll().where('partner', 'in', names).execute()
    const before = new Map(rows.map((row) => [row.partner, row]))
    const after = seen.map((one) => stateAfter(before.get(one.partner), one, rules))
    await transaction
      .insertInto('health_states')
      .values(after)
      .onConflict((conflict) =>
        conflict.column('partner').doUpdateSet((excluded) => ({
          status: excluded.ref('excluded.status'),
          since: excluded.ref('excluded.since'),
          streak: excluded.ref('excluded.streak'),
          code: excluded.ref('excluded.code'),
          message: excluded.ref('excluded.message'),
          latency_ms: excluded.ref('excluded.latency_ms'),
          checked_at: excluded.ref('excluded.checked_at'),
          details: excluded.ref('excluded.details'),
        })),
      )
      .execute()
    return after.map((row) => ({
      before: (before.get(row.partner)?.status ?? 'unknown') as HealthStatus,
      state: toState(row),
    }))
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
