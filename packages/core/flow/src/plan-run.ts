import { planned as plan, type PlannedStream } from './plan.ts'
import { invalid } from './refusals.ts'
import type { SyncOptions, Window } from './types.ts'

/** The bounds of a backfill; undefined where the run is none. */
export const backfillWindow = ({ backfill }: Pick<SyncOptions, 'backfill'>): Window | undefined =>
  backfill && {
    ...(backfill.since !== undefined && { since: backfill.since }),
    ...(backfill.until !== undefined && { until: backfill.until }),
  }

/** Why a stream cannot be read again in part; undefined where it can. */
const noBackfill = (planned: PlannedStream): string | undefined => {
  if (planned.cursor === undefined) return `${planned.stream} has no cursor, so there is no window of it`
  if (planned.disposition === 'overwrite')
    return `${planned.stream} overwrites its table with everything that the source has, so a window of it would remove the rest`
  if (planned.disposition === 'append' && planned.wanted.allowDuplicates !== true)
    return `${planned.stream} appends, and the rows of the window would be there twice`
  return undefined
}

/** The streams of a backfill: those that it names, which must be able to, or all that are. */
const backfilled = (
  { pipeline, backfill }: SyncOptions,
  streams: readonly PlannedStream[],
  window: Window,
  warn: (sentence: string) => void,
): readonly PlannedStream[] => {
  const partner = pipeline.source.name
  if (window.since === undefined && window.until === undefined)
    throw invalid(partner, 'backfill', 'a window needs a beginning or an end', 'Give since, until, or both')
  if (window.since !== undefined && window.until !== undefined && window.since === window.until)
    throw invalid(partner, 'backfill', 'the window is empty', 'until is not part of it: name a later one')
  const named = backfill?.streams
  for (const stream of named ?? [])
    if (!streams.some((one) => one.stream === stream))
      throw invalid(
        partner,
        'backfill.streams',
        `the pipeline has no stream ${stream}`,
        `Choose from: ${streams.map((one) => one.stream).join(', ')}`,
      )
  const next = 'Backfill streams that have a cursor and are merged, or accept doubled rows with allow_duplicates'
  const able = streams
    .filter(({ stream }) => named?.includes(stream) ?? true)
    .filter((planned) => {
      const reason = noBackfill(planned)
      if (reason !== undefined && named !== undefined) throw invalid(partner, 'backfill.streams', reason, next)
      if (reason !== undefined) warn(`${reason}: left out of the backfill`)
      return reason === undefined
    })
  if (able.length === 0) throw invalid(partner, 'backfill', 'none of the streams can be read again in part', next)
  return able.map((planned) => ({ ...planned, window }))
}

/** Plans the streams of one run. */
export const planRun = async (
  options: SyncOptions,
  {
    signal,
    warn,
  }: { readonly signal: AbortSignal; readonly now: () => number; readonly warn: (sentence: string) => void },
): Promise<readonly PlannedStream[]> => {
  const { source, sink, sinkName, streams: wanted } = options.pipeline
  const streams = await plan(source, sink, sinkName, wanted, { signal })
  const window = backfillWindow(options)
  return window === undefined ? streams : backfilled(options, streams, window, warn)
}
