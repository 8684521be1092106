import { listRuns, openSchedule } from '@ecokit/flow'
import type { RunSummary } from '@ecokit/flow'
import type { PipelineEntry } from '@ecokit/registry'
import type { Store } from '@ecokit/store'

/** When a pipeline runs by itself, and what became of its last times. */
export interface ScheduleView {
  readonly pipeline: string
  /** Milliseconds between two runs; null where the clock says when. */
  readonly everyMs: number | null
  readonly schedule: {
    readonly cron: string
    readonly timezone: string
    readonly jitterMs: number
    readonly missed: 'skip' | 'catch_up'
  } | null
  /** ISO 8601; null where nobody can say: an interval begins when a server starts. */
  readonly nextAt: string | null
  /** How many of its times have passed since it was last served; at most 1,000. */
  readonly missed: number
  readonly lastRun: RunSummary | null
}

const countedMissed = 1_000
const iso = (at: number | undefined): string | null => (at === undefined ? null : new Date(at).toISOString())

const viewOf = async (store: Store, { name, schedule, everyMs }: PipelineEntry, now: number): Promise<ScheduleView> => {
  const [lastRun = null] = await listRuns(store, { pipeline: name, limit: 1 })
  const view = { pipeline: name, everyMs: everyMs ?? null, lastRun }
  if (schedule === undefined) {
    const next = lastRun === null || everyMs === undefined ? undefined : Date.parse(lastRun.startedAt) + everyMs
    return { ...view, schedule: null, nextAt: iso(next), missed: 0 }
  }
  const { cron, timezone = 'UTC', jitterMs = 0, missed: manner = 'catch_up' } = schedule
  const times = openSchedule(schedule)
  const served = await store.db.selectFrom('schedules').selectAll().where('pipeline', '=', name).executeTakeFirst()
  let missed = 0
  // Another expression is another schedule, which begins when a server first sees it.
  if (served?.expression === times.expression)
    for (
      let at = times.nextDue(served.due_at, name);
      at !== undefined && at <= now && missed < countedMissed;
      at = times.nextDue(at, name)
    )
      missed += 1
  const nextAt = iso(times.nextDue(now, name))
  return { ...view, schedule: { cron, timezone, jitterMs, missed: manner }, nextAt, missed }
}

/** The pipelines that run by themselves, in the order of the file. Changes nothing, so that any process may ask. */
export const schedulesOf = async (
  store: Store,
  pipelines: readonly PipelineEntry[],
  now: number = Date.now(),
): Promise<readonly ScheduleView[]> =>
  Promise.all(
    pipelines
      .filter(({ everyMs, schedule }) => everyMs !== undefined || schedule !== undefined)
      .map((entry) => viewOf(store, entry, now)),
  )
