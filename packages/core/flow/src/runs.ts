import type { ErrorCode } from '@ecokit/contracts'
import type { Row, Store } from '@ecokit/store'
import { lineageEvent, type LineageEvent } from './lineage-event.ts'
import { outlookOf } from './outlook.ts'
import { stored } from './seal.ts'
import { noCounts } from './types.ts'
import type { Failure, Run, RunSummary, RunTotals, SchemaChange, StreamRun } from './types.ts'

const iso = (at: number): string => new Date(at).toISOString()
const isoOrNull = (at: number | null): string | null => (at === null ? null : iso(at))

const failure = (row: { error_code: string | null; error_message: string | null }): { error?: Failure } =>
  row.error_code === null
    ? {}
    : { error: { code: row.error_code as ErrorCode, message: row.error_message ?? row.error_code } }

/** How long a stream has gone on for, as far as the store was told. */
const elapsed = ({ started_at, ended_at, updated_at }: Row<'run_streams'>): number =>
  started_at === null ? 0 : Math.max(0, (ended_at ?? updated_at) - started_at)

const toStream = (row: Row<'run_streams'>): StreamRun => ({
  stream: row.stream,
  table: row.table_name,
  status: row.status,
  mode: row.mode,
  disposition: row.disposition,
  read: row.read,
  written: row.written,
  quarantined: row.quarantined,
  deduplicated: row.deduplicated,
  deleted: row.deleted,
  requests: row.requests,
  bytes: row.bytes,
  startedAt: isoOrNull(row.started_at),
  endedAt: isoOrNull(row.ended_at),
  durationMs: elapsed(row),
  ...outlookOf({ ...row, elapsedMs: elapsed(row) }),
  drift: stored(`the drift of ${row.stream}`, () => JSON.parse(row.drift) as SchemaChange[]),
  ...failure(row),
})

const counted = [
  'read',
  'written',
  'quarantined',
  'deduplicated',
  'deleted',
  'bytes',
  'requests',
] as const satisfies readonly (keyof RunTotals)[]
const noTotals: RunTotals = { ...noCounts, requests: 0, streams: 0 }
const totalsOf = (streams: readonly Row<'run_streams'>[]): RunTotals =>
  streams.reduce<RunTotals>(
    (sum, one) => ({
      streams: sum.streams + 1,
      ...(Object.fromEntries(counted.map((name) => [name, sum[name] + one[name]])) as Omit<RunTotals, 'streams'>),
    }),
    noTotals,
  )

const toSummary = (row: Row<'runs'>, totals: RunTotals): RunSummary => ({
  id: row.id,
  pipeline: row.pipeline,
  source: row.source,
  sink: row.sink,
  trigger: row.trigger,
  full: row.full === 1,
  ...(row.kind === 'backfill' && {
    backfill: { since: row.backfill_since ?? undefined, until: row.backfill_until ?? undefined },
  }),
  status: row.status,
  startedAt: iso(row.started_at),
  endedAt: isoOrNull(row.ended_at),
  warnings: stored(`the run ${row.id}`, () => JSON.parse(row.warnings) as string[]),
  ...failure(row),
  totals,
})

/** Runs without their streams, newest first. */
export const listRuns = async (
  store: Store,
  about: {
    readonly pipeline?: string | undefined
    /** Only those whose id begins so. */
    readonly startsWith?: string | undefined
    readonly limit?: number | undefined
  } = {},
): Promise<readonly RunSummary[]> => {
  const { pipeline, startsWith, limit = 50 } = about
  let query = store.db.selectFrom('runs').selectAll().orderBy('started_at', 'desc').orderBy('id', 'desc').limit(limit)
  if (pipeline !== undefined) query = query.where('pipeline', '=', pipeline)
  if (startsWith !== undefined) query = query.where('id', '>=', startsWith).where('id', '<', `${startsWith}\u{10FFFF}`)
  const rows = await query.execute()
  if (rows.length === 0) return []
  const sums = await store.db
    .selectFrom('run_streams')
    .select(({ fn }) => ['run_id', fn.countAll().as('streams'), ...counted.map((name) => fn.sum(name).as(name))])
    .where(
      'run_id',
      'in',
      rows.map(({ id }) => id),
    )
    .groupBy('run_id')
    .execute()
  const byRun = new Map(sums.map(({ run_id, ...sum }) => [run_id, sum]))
  return rows.map((row) => toSummary(row, { ...noTotals, ...byRun.get(row.id) } as RunTotals))
}

const withStreams = async (store: Store, rows: readonly Row<'runs'>[]): Promise<readonly Run[]> => {
  if (rows.length === 0) return []
  const ids = rows.map(({ id }) => id)
  const streams = await store.db
    .selectFrom('run_streams')
    .selectAll()
    .where('run_id', 'in', ids)
    .orderBy('run_id')
    .orderBy('position')
    .execute()
  const byRun = new Map(ids.map((id): [string, Row<'run_streams'>[]] => [id, []]))
  for (const one of streams) byRun.get(one.run_id)?.push(one)
  return rows.map((row) => {
    const own = byRun.get(row.id) ?? []
    return { ...toSummary(row, totalsOf(own)), streams: own.map(toStream) }
  })
}

/** The runs of which something has changed since then (epoch milliseconds, inclusive), with their streams, newest first. */
export const changedRuns = async (store: Store, since: number, limit = 200): Promise<readonly Run[]> =>
  withStreams(
    store,
    await store.db
      .selectFrom('runs')
      .selectAll()
      .where('updated_at', '>=', since)
      .orderBy('started_at', 'desc')
      .orderBy('id', 'desc')
      .limit(limit)
      .execute(),
  )

/** One run with its streams; undefined when there is none of that id. */
export const getRun = async (store: Store, id: string): Promise<Run | undefined> => {
  const rows = await store.db.selectFrom('runs').selectAll().where('id', '=', id).execute()
  return (await withStreams(store, rows))[0]
}

/** A record that was left out of a sync. */
export interface QuarantinedRecord {
  readonly id: number
  readonly run: string
  readonly pipeline: string
  readonly stream: string
  /** The dotted path inside the record; empty where the sink refused the record as a whole. */
  readonly field: string
  readonly reason: string
  /** JSON, cut off at 64 KiB. */
  readonly record: string
  /** ISO 8601. */
  readonly at: string
}

/** Records that were left out, newest first. A pass that was cut off and begun again may hold one in both runs. */
export const listQuarantine = async (
  store: Store,
  about: {
    readonly run?: string | undefined
    readonly pipeline?: string | undefined
    readonly stream?: string | undefined
    readonly limit?: number | undefined
  } = {},
): Promise<readonly QuarantinedRecord[]> => {
  const { run, pipeline, stream, limit = 100 } = about
  let query = store.db.selectFrom('quarantine').selectAll().orderBy('id', 'desc').limit(limit)
  if (run !== undefined) query = query.where('run_id', '=', run)
  if (pipeline !== undefined) query = query.where('pipeline', '=', pipeline)
  if (stream !== undefined) query = query.where('stream', '=', stream)
  const rows = await query.execute()
  return rows.map(({ run_id, at, ...rest }) => ({ ...rest, run: run_id, at: iso(at) }))
}

/** The OpenLineage events of a run, in the order in which they were emitted. */
export const runLineage = async (store: Store, run: string): Promise<readonly LineageEvent[]> => {
  const rows = await store.db
    .selectFrom('lineage_events')
    .select('body')
    .where('run_id', '=', run)
    .orderBy('id')
    .execute()
  return rows.map(({ body }) => stored(`the lineage of the run ${run}`, () => lineageEvent.parse(JSON.parse(body))))
}

/** Asks a run to stop, whichever process runs it; false when it is not running. It stops within a second. */
export const cancelRun = async (store: Store, id: string, now: () => number = Date.now): Promise<boolean> => {
  const at = now()
  const marked = await store.db
    .updateTable('runs')
    .set({ cancel_requested_at: at, updated_at: at })
    .where('id', '=', id)
    .where('status', '=', 'running')
    .returning('id')
    .execute()
  return marked.length > 0
}
