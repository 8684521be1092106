import { expectAgreements, isExpected, keepAgreement, pauseAgreement, readAgreements } from './agreement.ts'
import { describeChanges, settleContract, settleLost, type Settled } from './contract.ts'
import { planned as plan, sinkOf, type PlannedStream } from './plan.ts'
import { compareNumbers, instantOf } from './quality-values.ts'
import { invalid } from './refusals.ts'
import { propertiesOf, typeName } from './schemas.ts'
import type { SyncOptions, Window } from './types.ts'

/** The bounds of a backfill; undefined where the run is none. */
export const backfillWindow = ({ backfill }: Pick<SyncOptions, 'backfill'>): Window | undefined =>
  backfill && {
    ...(backfill.since !== undefined && { since: backfill.since }),
    ...(backfill.until !== undefined && { until: backfill.until }),
  }

/** Why a stream cannot be read again in part; undefined where it can. */
const noBackfill = (planned: PlannedStream): string | undefined => {
  if (planned.halted !== undefined) return undefined
  if (planned.cursor === undefined) return `${planned.stream} has no cursor, so there is no window of it`
  if (planned.disposition === 'overwrite')
    return `${planned.stream} overwrites its table with everything that the source has, so a window of it would remove the rest`
  if (planned.disposition === 'append' && planned.wanted.allowDuplicates !== true)
    return `${planned.stream} appends, and the rows of the window would be there twice`
  return undefined
}

/** Below 0 where a window ends before it begins, 0 where nothing is in it; above 0 also where only the source knows, as with texts. */
const lengthOf = ({ since, until }: Window, { cursor, mapping, origin }: PlannedStream): number => {
  if (since === undefined || until === undefined) return 1
  if (since === until) return 0
  const [begin, end] = [since, until].map((bound) => instantOf(bound) ?? instantOf(`${bound}Z`))
  if (begin !== undefined && end !== undefined) return begin < end ? 1 : begin > end ? -1 : 0
  const field = mapping.fields.find(({ column }) => column === cursor)?.field ?? ''
  const type = typeName(propertiesOf(origin.schema)[field], origin.schema)
  return /^(integer|number|decimal)\b/.test(type) ? (compareNumbers(until, since) ?? 1) : 1
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
  for (const planned of able) {
    const length = lengthOf(window, planned)
    if (length === 0)
      throw invalid(partner, 'backfill', 'the window is empty', 'until is not part of it: name a later one')
    if (length < 0)
      throw invalid(partner, 'backfill', 'the window ends before it begins', 'Name a later until, or an earlier since')
  }
  return able.map((planned) => ({ ...planned, window }))
}

/** A stream of a run with what its pipeline agrees to once it has begun. */
export interface RunStream extends PlannedStream {
  /** Keeps what the stream's table holds from now on; called when the sink has taken the table. */
  readonly agree: () => Promise<void>
}

/** Plans the streams of one run, each held against what the pipeline has agreed to: what is decided here holds until the run ends. */
export const planRun = async (
  options: SyncOptions,
  about: {
    readonly signal: AbortSignal
    readonly now: () => number
    readonly warn: (sentence: string) => void
  },
): Promise<readonly RunStream[]> => {
  const { pipeline, store } = options
  const { signal, warn, now } = about
  const { source, sink, sinkName } = pipeline
  const known = await readAgreements(store, pipeline.name)
  const lost = new Map<string, Settled>()
  const planned = await plan(source, sink, sinkName, pipeline.streams, {
    signal,
    rescue: (wanted, found) => {
      const settled = settleLost(pipeline, wanted, found, known.get(wanted.stream)?.agreed)
      if (settled !== undefined) lost.set(wanted.stream, settled)
      return settled?.planned
    },
  })
  const window = backfillWindow(options)
  const chosen = window === undefined ? planned : backfilled(options, planned, window, warn)
  const declared = sinkOf(sink, sinkName)
  const first = known.size === 0
  if (first && pipeline.streams === undefined) {
    const seen = planned.map((one) => ({
      stream: one.stream,
      ...settleContract(pipeline, declared, one, undefined, true),
    }))
    await expectAgreements(store, { pipeline: pipeline.name, now: now() }, seen)
  }
  const streams: RunStream[] = []
  for (const one of chosen) {
    const { stream } = one
    if (one.origin.fault !== undefined) {
      // Nothing is known of its schema, so what was agreed to stays as it is.
      streams.push({ ...one, agree: () => Promise.resolve() })
      continue
    }
    const before = known.get(stream)
    const isNone = first || isExpected(before)
    const settled = lost.get(stream) ?? settleContract(pipeline, declared, one, before?.agreed, isNone)
    const place = { pipeline: pipeline.name, stream, now: now() }
    const { drift, halted } = settled.planned
    if (halted !== undefined) await pauseAgreement(store, place, before, settled.agreement, settled.paused)
    else if (drift.length > 0) warn(`${stream}: its schema has changed: ${describeChanges(drift)}`)
    streams.push({ ...settled.planned, agree: () => keepAgreement(store, place, before, settled.agreement) })
  }
  return streams
}
