import { toJson } from '@ecokit/contracts'
import type { NewRow, Row, Store } from '@ecokit/store'
import type { PlannedStream } from './plan.ts'
import { openOutlooks } from './outlook.ts'
import { seal, unseal } from './seal.ts'
import { readState, stateKey, type FlowState, type Pass } from './state.ts'
import {
  noCounts,
  type Counts,
  type Failure,
  type Outlook,
  type RunStatus,
  type StreamStatus,
  type Window,
} from './types.ts'

/** What is written about a stream while it runs. */
export type StreamPatch = Partial<
  Pick<Row<'run_streams'>, 'status' | 'mode' | 'requests' | 'started_at' | 'ended_at' | 'error_code' | 'error_message'>
> &
  Partial<Counts>

/** Everything that a run writes into the store. */
export interface Ledger {
  /** Gives the run its row. */
  open(
    run: Pick<NewRow<'runs'>, 'pipeline' | 'source' | 'sink' | 'trigger' | 'full' | 'holder'> & {
      readonly window: Window | undefined
    },
  ): Promise<void>
  /** Gives each of its streams a row. */
  begin(streams: readonly PlannedStream[]): Promise<void>
  stream(name: string, patch: StreamPatch): Promise<void>
  /** Says how the stream is read this time, and with that what is to be expected of it. */
  pass(name: string, pass: Pick<Pass, 'mode' | 'from'>): Promise<void>
  /** How far the stream is, as the store tells it of the row. */
  outlook(name: string, status: StreamStatus, read: number): Outlook
  /** Keeps the state that the sink has committed: the truth where the sink cannot, for display elsewhere. */
  committed(key: string, state: FlowState, stream: string, patch: StreamPatch): Promise<void>
  /** Gives an earlier run the account of what it committed last, where it died before it could say so. */
  correct(stream: string, state: FlowState): Promise<void>
  state(key: string): Promise<unknown>
  quarantine(rows: readonly Omit<NewRow<'quarantine'>, 'run_id' | 'at'>[]): Promise<void>
  /** Says that the run is alive; true when somebody asked it to stop. */
  beat(): Promise<boolean>
  finish(status: RunStatus, error: Failure | undefined, warnings: readonly string[]): Promise<void>
}

/** How long the account of a run is kept. */
const keptMs = 30 * 86_400_000
/** SQLite takes 32,766 values in a statement; this is far below, and a transaction of milliseconds. */
const rowsAtOnce = 500

const asidesAtOnce = 100
const insertAsides = (within: Store['db'], part: readonly NewRow<'quarantine'>[]) =>
  within.insertInto('quarantine').values(part).compile()

export const openLedger = (store: Store, run: string, now: () => number): Ledger => {
  const { db } = store
  const outlooks = openOutlooks(store, now)
  let pipeline = ''
  const touch = (name: string, patch: StreamPatch & { readonly expected?: number | null }, within: Store['db']) =>
    within
      .updateTable('run_streams')
      .set({ ...patch, updated_at: now() })
      .where('run_id', '=', run)
      .where('stream', '=', name)
      .execute()
  const beat = async (within: Store['db'] = db): Promise<boolean> => {
    const at = now()
    const rows = await within
      .updateTable('runs')
      .set({ heartbeat_at: at, updated_at: at })
      .where('id', '=', run)
      .returning('cancel_requested_at')
      .execute()
    return rows[0]?.cancel_requested_at != null
  }
  const write = (name: string, patch: Parameters<typeof touch>[1]): Promise<void> =>
    db.transaction().execute(async (transaction) => {
      await touch(name, patch, transaction)
      await beat(transaction)
    })
  let fullPart: ReturnType<typeof insertAsides> | undefined
  return {
    open: async ({ window, ...given }) => {
      pipeline = given.pipeline
      const row = {
        ...given,
        kind: window === undefined ? ('sync' as const) : ('backfill' as const),
        backfill_since: window?.since ?? null,
        backfill_until: window?.until ?? null,
      }
      const at = now()
      const times = { started_at: at, ended_at: null, heartbeat_at: at, updated_at: at, cancel_requested_at: null }
      const blank = { warnings: '[]', error_code: null, error_message: null }
      await db
        .insertInto('runs')
        .values({ id: run, ...row, status: 'running', ...times, ...blank })
        .execute()
    },
    begin: async (streams) => {
      const at = now()
      await outlooks.begin(pipeline, streams)
      const blank = {
        started_at: null,
        ended_at: null,
        error_code: null,
        error_message: null,
        requests: 0,
        ...noCounts,
      }
      const rows = streams.map(({ stream, table, mode, disposition, window, drift }, position) => ({
        run_id: run,
        stream,
        table_name: table,
        position,
        status: 'waiting' as const,
        mode: window === undefined ? mode : ('backfill' as const),
        disposition,
        drift: toJson(drift),
        expected: outlooks.expected(stream),
        updated_at: at,
        ...blank,
      }))
      for (let from = 0; from < rows.length; from += rowsAtOnce)
        await db
          .insertInto('run_streams')
          .values(rows.slice(from, from + rowsAtOnce))
          .execute()
    },
    stream: async (name, patch) => {
      if (patch.started_at != null) outlooks.started(name, patch.started_at)
      await write(name, patch)
    },
    pass: async (name, { mode, from }) => {
      outlooks.pass(name, { mode, from })
      await write(name, { mode, expected: outlooks.expected(name) })
    },
    outlook: (name, status, read) => outlooks.of(name, status, read),
    committed: async (key, state, name, patch) => {
      const row = {
        checkpoint: seal(state),
        complete: state.complete ? 1 : 0,
        reconciled_at: state.reconciledAt ?? null,
        counts: toJson(state.counts),
        ...(state.complete && outlooks.isWhole(name) && { whole_read: state.counts.read }),
        updated_at: now(),
      }
      await db.transaction().execute(async (transaction) => {
        // Of a window that was read to its end nothing has to be known any more.
        if (state.mode === 'backfill' && state.complete)
          await transaction.deleteFrom('flow_state').where('key', '=', key).execute()
        else
          await transaction
            .insertInto('flow_state')
            .values({ key, ...row })
            .onConflict((conflict) => conflict.column('key').doUpdateSet(row))
            .execute()
        await touch(name, patch, transaction)
        await beat(transaction)
      })
    },
    correct: async (name, state) => {
      await db
        .updateTable('run_streams')
        .set({ ...state.counts, updated_at: now() })
        .where('run_id', '=', state.run)
        .where('stream', '=', name)
        .execute()
    },
    state: async (key) => {
      const row = await db.selectFrom('flow_state').select('checkpoint').where('key', '=', key).executeTakeFirst()
      return row?.checkpoint == null ? undefined : unseal(row.checkpoint, key)
    },
    quarantine: async (rows) => {
      const at = now()
      // One transaction: each one waits for the disk.
      await db.transaction().execute(async (transaction) => {
        for (let from = 0; from < rows.length; from += asidesAtOnce) {
          const part = rows.slice(from, from + asidesAtOnce).map(({ pipeline, stream, field, reason, record }) => ({
            run_id: run,
            pipeline,
            stream,
            field,
            reason,
            record,
            at,
          }))
          if (part.length < asidesAtOnce) {
            await transaction.insertInto('quarantine').values(part).execute()
            continue
          }
          // To build the statement costs more than to run it, and that of a full part is always the same.
          fullPart ??= insertAsides(transaction, part)
          await transaction.executeQuery({ ...fullPart, parameters: part.flatMap((row) => Object.values(row)) })
        }
      })
    },
    beat: () => beat(),
    finish: async (status, error, warnings) => {
      const at = now()
      await db
        .updateTable('runs')
        .set({
          status,
          ended_at: at,
          updated_at: at,
          warnings: JSON.stringify(warnings),
          error_code: error?.code ?? null,
          error_message: error?.message ?? null,
        })
        .where('id', '=', run)
        .execute()
      // With their streams, lineage and quarantine; the checkpoints stay.
      await db
        .deleteFrom('runs')
        .where('status', '!=', 'running')
        .where('started_at', '<', at - keptMs)
        .execute()
    },
  }
}

/** A run whose process is gone, with the streams that it was at. */
export interface DeadRun {
  readonly id: string
  readonly pipeline: string
  readonly streams: readonly string[]
}

export const ended = { code: 'internal', message: 'the process ended before the run did' } as const

const undamaged = (text: string): unknown => {
  try {
    return unseal(text, '')
  } catch {
    return undefined
  }
}

/** Marks runs as failed whose process ended without saying so, and corrects their counts to what was committed. */
export const buryRuns = async (
  store: Store,
  now: () => number,
  isDead: (run: { readonly pipeline: string; readonly holder: string; readonly heartbeat_at: number }) => boolean,
): Promise<readonly DeadRun[]> =>
  store.db.transaction().execute(async (transaction) => {
    const running = await transaction.selectFrom('runs').selectAll().where('status', '=', 'running').execute()
    const dead: DeadRun[] = []
    for (const { id, pipeline, kind, backfill_since, backfill_until } of running.filter(isDead)) {
      const window =
        kind === 'backfill' ? { since: backfill_since ?? undefined, until: backfill_until ?? undefined } : undefined
      const at = now()
      const mark = { error_code: ended.code, error_message: ended.message, ended_at: at, updated_at: at }
      await transaction
        .updateTable('runs')
        .set({ ...mark, status: 'failed' })
        .where('id', '=', id)
        .execute()
      const streams = await transaction
        .selectFrom('run_streams')
        .selectAll()
        .where('run_id', '=', id)
        .where('status', 'in', ['running', 'waiting'])
        .execute()
      for (const { stream, status, table_name } of streams) {
        const kept = await transaction
          .selectFrom('flow_state')
          .select('checkpoint')
          .where('key', '=', stateKey(pipeline, stream, window))
          .executeTakeFirst()
        const state = readState(kept?.checkpoint == null ? undefined : undamaged(kept.checkpoint), table_name)
        await transaction
          .updateTable('run_streams')
          .set({
            ...(status === 'running' ? { ...mark, status: 'failed' as const } : { status: 'cancelled' as const }),
            ...(state?.run === id ? state.counts : noCounts),
            updated_at: at,
          })
          .where('run_id', '=', id)
          .where('stream', '=', stream)
          .execute()
      }
      dead.push({ id, pipeline, streams: streams.filter((one) => one.status === 'running').map((one) => one.stream) })
    }
    return dead
  })
