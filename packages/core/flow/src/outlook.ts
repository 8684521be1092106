import type { Store } from '@ecokit/store'
import type { PlannedStream } from './plan.ts'
import { stateKey, type Pass } from './state.ts'
import type { Outlook, StreamStatus } from './types.ts'

/** Before that a page more or less is the whole pace. */
const leastMs = 500
/** Far below the 32,766 values that SQLite takes in a statement. */
const keysAtOnce = 500

/** True where a pass reads all that the source has, as a first incremental one does too; one that goes on somewhere reads what nobody can tell before. */
const readsEverything = ({ mode, from }: Pick<Pass, 'mode' | 'from'>): boolean =>
  mode !== 'backfill' && from === undefined

/** How far a stream is: the one place where that is worked out, for rows of the store and for those who follow a run. */
export const outlookOf = (about: {
  readonly status: StreamStatus
  readonly read: number
  readonly expected: number | null | undefined
  /** Since the stream began. */
  readonly elapsedMs: number
}): Outlook => {
  const { status, read, elapsedMs } = about
  const expected = about.expected ?? undefined
  if (expected === undefined) return {}
  if (status !== 'running' || read <= 0 || read >= expected || elapsedMs < leastMs) return { expected }
  return { expected, leftMs: Math.round(((expected - read) / read) * elapsedMs) }
}

/** What the streams of one run are expected to read. */
export interface Outlooks {
  /** Looks up what is known of them. */
  begin(pipeline: string, streams: readonly PlannedStream[]): Promise<void>
  started(stream: string, at: number): void
  pass(stream: string, pass: Pick<Pass, 'mode' | 'from'>): void
  /** What its column of the store holds. */
  expected(stream: string): number | null
  /** True where its pass is one over everything: what it has read at its end is what the next can expect. */
  isWhole(stream: string): boolean
  of(stream: string, status: StreamStatus, read: number): Outlook
}

export const openOutlooks = (store: Store, now: () => number): Outlooks => {
  /** What the last complete pass over everything read. */
  const known = new Map<string, number>()
  const whole = new Set<string>()
  const startedAt = new Map<string, number>()
  const expected = (stream: string): number | null => (whole.has(stream) ? (known.get(stream) ?? null) : null)
  return {
    begin: async (pipeline, streams) => {
      // Those of the others only their checkpoints tell, when they begin.
      for (const { stream, mode, window, skipped } of streams)
        if (mode === 'full_refresh' && window === undefined && !skipped) whole.add(stream)
      const byKey = new Map(streams.map(({ stream }) => [stateKey(pipeline, stream), stream]))
      const keys = [...byKey.keys()]
      for (let from = 0; from < keys.length; from += keysAtOnce) {
        const part = keys.slice(from, from + keysAtOnce)
        const rows = await store.db
          .selectFrom('flow_state')
          .select(['key', 'whole_read'])
          .where('key', 'in', part)
          .execute()
        for (const { key, whole_read } of rows) {
          const stream = byKey.get(key)
          if (stream !== undefined && whole_read !== null) known.set(stream, whole_read)
        }
      }
    },
    started: (stream, at) => void startedAt.set(stream, at),
    pass: (stream, pass) => {
      if (readsEverything(pass)) whole.add(stream)
      else whole.delete(stream)
    },
    expected,
    isWhole: (stream) => whole.has(stream),
    of: (stream, status, read) => {
      const at = now()
      return outlookOf({ status, read, expected: expected(stream), elapsedMs: at - (startedAt.get(stream) ?? at) })
    },
  }
}
