import type { Checkpoint } from '@ecokit/contracts'
import { z } from 'zod'
import { hasPassed } from './clock.ts'
import type { PlannedStream } from './plan.ts'
import type { Counts, PassMode, Window } from './types.ts'

const counts = z.object({
  read: z.int(),
  written: z.int(),
  quarantined: z.int(),
  deduplicated: z.int(),
  deleted: z.int(),
  bytes: z.number(),
})

/** What is committed together with the rows: the source's own checkpoint, and our account of how it was reached. */
const flowState = z.object({
  flow: z.literal(1),
  /** The source's payload; absent before its first checkpoint and after a full refresh. */
  source: z.record(z.string(), z.unknown()).optional(),
  /** Of the run that wrote this, up to this checkpoint. */
  counts,
  /** False until the pass has reached its end. */
  complete: z.boolean(),
  mode: z.enum(['full_refresh', 'incremental', 'reconcile', 'backfill']),
  run: z.string(),
  table: z.string(),
  /** What the source read from when this was written. */
  origin: z.string().optional(),
  /** When this pass began, over all runs that it took; epoch milliseconds. */
  startedAt: z.number(),
  /** When the last pass over everything began that reached its end; epoch milliseconds. */
  reconciledAt: z.number().optional(),
})
export type FlowState = z.output<typeof flowState>

/** The state in a checkpoint; undefined for none, for one that is not ours, and for one of another table. */
export const readState = (stored: unknown, table: string): FlowState | undefined => {
  const parsed = flowState.safeParse(stored)
  return parsed.success && parsed.data.table === table ? parsed.data : undefined
}

/** Under which the state of a stream is kept; a backfill's beside the stream's own, which it never touches. */
export const stateKey = (pipeline: string, stream: string, window?: Window): string =>
  window === undefined
    ? `${pipeline}/${stream}`
    : `${pipeline}/${stream}#backfill/${window.since ?? ''}/${window.until ?? ''}`

/** One pass over a stream: where it starts and what it may do. */
export interface Pass {
  readonly mode: PassMode
  /** Absent: from the beginning. */
  readonly from: Checkpoint | undefined
  /** Rows that the pass does not bring are removed at its end. */
  readonly prune: boolean
  /** Rows may become visible before the pass has ended. */
  readonly stepwise: boolean
  readonly startedAt: number
  readonly before: FlowState | undefined
  /** Bounds of a backfill. */
  readonly window?: Window | undefined
}

/** Decides how the stream is read this time. */
export const decidePass = (
  { mode, disposition, prunes, window }: Pick<PlannedStream, 'mode' | 'disposition' | 'prunes' | 'window'>,
  before: FlowState | undefined,
  about: {
    readonly full: boolean
    readonly now: number
    readonly reconcileEveryMs: number | undefined
    /** What the store was told last: it also knows of a reconciling pass that was cut off. */
    readonly noted: FlowState | undefined
  },
): Pass => {
  const merge = disposition === 'merge'
  if (window !== undefined) {
    // Of a window that was read to its end nothing is known any more: asked for again, it is read again.
    const cutOff = before?.complete === false && !about.full ? before : undefined
    const startedAt = cutOff?.startedAt ?? about.now
    return { mode: 'backfill', from: cutOff?.source, prune: false, stepwise: true, startedAt, before: cutOff, window }
  }
  const prune = merge && prunes
  const everything = { from: undefined, prune, stepwise: merge, startedAt: about.now, before }
  if (mode === 'full_refresh') return { mode, ...everything }
  const due =
    about.reconcileEveryMs !== undefined &&
    before?.reconciledAt !== undefined &&
    hasPassed(before.reconciledAt, about.now, about.reconcileEveryMs)
  const leftOff = about.noted?.mode === 'reconcile' && !about.noted.complete
  if (merge && (about.full || due || leftOff)) return { mode: 'reconcile', ...everything }
  // A pass that was cut off goes on, and began when its first run did: what changed since then counts as unseen.
  const startedAt = before === undefined || before.complete ? about.now : before.startedAt
  return { mode, from: before?.source, prune: false, stepwise: true, startedAt, before }
}

/** What to commit with the rows. A pass over everything does not move the checkpoint before its end: cut off, it starts over. */
export const nextState = (
  pass: Pass,
  about: {
    readonly run: string
    readonly table: string
    readonly counts: Counts
    readonly source: Checkpoint | undefined
    readonly complete: boolean
    readonly origin: string | undefined
  },
): FlowState => {
  const { mode, before, startedAt } = pass
  const { complete, run, table, origin } = about
  const source =
    mode === 'incremental' || mode === 'backfill' || (mode === 'reconcile' && complete)
      ? (about.source ?? before?.source)
      : mode === 'reconcile'
        ? before?.source
        : undefined
  const sawEverything =
    complete && mode !== 'backfill' && (mode !== 'incremental' || before?.reconciledAt === undefined)
  const reconciledAt = sawEverything ? startedAt : before?.reconciledAt
  return {
    flow: 1,
    ...(source !== undefined && { source }),
    counts: { ...about.counts },
    complete,
    mode,
    run,
    table,
    ...(origin !== undefined && { origin }),
    startedAt,
    ...(reconciledAt !== undefined && { reconciledAt }),
  }
}
