import { createHash } from 'node:crypto'
import { integrationError } from '@ecokit/contracts'
import type { Store } from '@ecokit/store'
import { Cron } from 'croner'

/** When a pipeline is to run. */
export interface ScheduleOptions {
  /** Five fields, minute first, or six with seconds first; `@daily` and the like. */
  readonly cron: string
  /** Of the IANA database, such as `Europe/Berlin`. Default `UTC`. */
  readonly timezone?: string | undefined
  /** Each pipeline runs so much later at the most, always by the same time, so that many do not begin at once. Default 0. */
  readonly jitterMs?: number | undefined
  /** What becomes of runs whose time passed by more than a minute: `catch_up` (the default) makes up for all of them with one run, `skip` waits for the next time. */
  readonly missed?: 'skip' | 'catch_up' | undefined
}

/** A schedule without a clock: it answers, and never waits. */
export interface Schedule {
  /** What it says, as text: another text is another schedule. */
  readonly expression: string
  readonly missed: 'skip' | 'catch_up'
  /** The first time after a moment (epoch milliseconds, exclusive); undefined when there is none any more. The pipeline's name decides its share of the jitter. */
  nextDue(after: number, pipeline?: string): number | undefined
}

/** How late a run may begin and still be on time; also how far a clock may be put back before what was served counts as unknown. */
const onTimeMs = 60_000
/** Counting goes no further: a schedule of every second that slept for a year. */
const countedMissed = 1_000

const refuse = (field: string, what: string) =>
  integrationError('invalid_config', {
    what: `schedule.${field}: ${what}`,
    next: 'Write five fields, minute first, such as 30 3 * * 1-5, and a time zone such as Europe/Berlin',
    details: { field: `schedule.${field}` },
  })

const timeZone = (name: string): string => {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions().timeZone
  } catch {
    throw refuse('timezone', `${name} is no time zone`)
  }
}

/** The same number below `limit` for the same text, on every machine. */
const share = (text: string, limit: number): number =>
  limit < 1 ? 0 : createHash('sha256').update(text).digest().readUIntBE(0, 6) % Math.floor(limit)

/**
 * Opens a schedule; throws `invalid_config` for what cannot be understood. Where clocks are put forward, a run at a fixed time of the gap takes place at its end; where they are put back, a run at a fixed time takes place once,
 * and one of every so many minutes or hours in both.
 */
export const openSchedule = ({
  cron,
  timezone = 'UTC',
  jitterMs = 0,
  missed = 'catch_up',
}: ScheduleOptions): Schedule => {
  const zone = timeZone(timezone)
  if (!(jitterMs >= 0 && Number.isFinite(jitterMs))) throw refuse('jitter', 'expected a duration')
  const times = ((): Cron => {
    try {
      return new Cron(cron, { timezone: zone, mode: '5-or-6-parts' })
    } catch (error) {
      throw refuse('cron', `${cron} is not understood: ${error instanceof Error ? error.message : String(error)}`)
    }
  })()
  // Croner also takes a date, which would run once.
  if (times.getPattern() === undefined) throw refuse('cron', `${cron} is no cron expression`)
  return {
    expression: JSON.stringify([cron, zone, jitterMs]),
    missed,
    nextDue: (after, pipeline = '') => {
      const offset = share(pipeline, jitterMs)
      // Croner counts in whole seconds.
      const from = Math.floor((after - offset) / 1_000) * 1_000
      const next = times.nextRun(new Date(from))
      return next === null ? undefined : next.getTime() + offset
    },
  }
}

/** Whether a pipeline is to run now. */
export interface Due {
  readonly due: boolean
  /** How many of its times passed without a run, beside the one that is due; told once where they are skipped. At most 1,000. */
  readonly missed: number
  /** Its next time after now, epoch milliseconds. */
  readonly nextAt: number | undefined
}

/** Keeps up to when a schedule has been served. */
const keep = async (store: Store, pipeline: string, expression: string, at: number, now: number): Promise<void> => {
  const row = { expression, due_at: at, updated_at: now }
  await store.db
    .insertInto('schedules')
    .values({ pipeline, ...row })
    .onConflict((conflict) => conflict.column('pipeline').doUpdateSet(row))
    .execute()
}

/**
 * Says whether a pipeline's time has come, for the one timer of a host that asks every few seconds. A schedule that is new or was changed begins now. After `due` say `servedUntil` when the run has begun (`onStart` of `sync`): a run that
 * found the pipeline taken (`conflict`) is then asked for again. A clock that was put back by more than a minute serves its times again, rather than to wait for the old ones.
 */
export const dueRuns = async (store: Store, pipeline: string, schedule: Schedule, now: number): Promise<Due> => {
  const { expression } = schedule
  const nextAt = schedule.nextDue(now, pipeline)
  const known = await store.db.selectFrom('schedules').selectAll().where('pipeline', '=', pipeline).executeTakeFirst()
  if (known?.expression !== expression || known.due_at > now + onTimeMs) {
    await keep(store, pipeline, expression, now, now)
    return { due: false, missed: 0, nextAt }
  }
  const reached = (at: number | undefined): at is number => at !== undefined && at <= now
  let passed = 0
  let at = schedule.nextDue(known.due_at, pipeline)
  for (; reached(at) && passed <= countedMissed; at = schedule.nextDue(at, pipeline)) passed += 1
  if (passed === 0) return { due: false, missed: 0, nextAt }
  const onTime = reached(schedule.nextDue(Math.max(known.due_at, now - onTimeMs), pipeline))
  if (schedule.missed === 'catch_up' || onTime) return { due: true, missed: passed - 1, nextAt }
  await keep(store, pipeline, expression, now, now)
  return { due: false, missed: passed, nextAt }
}

/** Notes that a pipeline has run for every time of its schedule up to `at` (epoch milliseconds). */
export const servedUntil = async (store: Store, pipeline: string, at: number): Promise<void> => {
  await store.db.updateTable('schedules').set({ due_at: at, updated_at: at }).where('pipeline', '=', pipeline).execute()
}
