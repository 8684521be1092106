import type { AnyRecord, InvalidRecord, Manifest, OpenHttp, ReadOptions, RestStream } from '@ecokit/contracts'
import { within } from './cursor.ts'
import type { Bounds, Cursor } from './cursor.ts'
import type { Asked, Page } from './pages.ts'
import type { Rows } from './rows.ts'
import type { Pass, State } from './state.ts'

/** What a declared stream is read with. */
export interface RestReading {
  readonly partner: string
  readonly name: string
  readonly manifest: Manifest
  readonly config: unknown
  readonly http: OpenHttp
  /** Epoch milliseconds. */
  readonly now: () => number
  readonly isSecret: (value: string) => boolean
  readonly options: ReadOptions
}
/** One read, ready to begin. */
export interface Reading extends RestReading {
  readonly rest: RestStream
  readonly cursor: Cursor | undefined
  /** As the checkpoint says it; without `pass`. */
  readonly before: Omit<State, 'pass'>
  /** The pass to go on with, or a new one. */
  readonly pass: Pass
  /** True for a part of the stream that was asked for, which moves no cursor. */
  readonly partial: boolean
  readonly lagMs: number
  readonly refuse: (invalid: InvalidRecord) => void
  readonly pages: (asked: Asked, place: Pass['place'], again: () => Asked, signal?: AbortSignal) => AsyncGenerator<Page>
}

export const higher = (cursor: Cursor, one: string | undefined, other: string | undefined): string | undefined =>
  one === undefined || (other !== undefined && cursor.compare(other, one) > 0) ? other : one

/** Whether the partner is asked for what lies behind the cursor, the value itself included; it is looked for in all records otherwise. */
const isAsked = ({ incremental, partitions }: RestStream): boolean =>
  incremental !== undefined || (partitions !== undefined && 'windowMs' in partitions)

/** Which values of the cursor a pass hands on, from where it goes on. */
export const boundsOf = ({ cursor, rest, pass, lagMs }: Reading, from: string | undefined): Bounds => {
  const { since, until } = pass.window ?? {}
  if (since !== undefined || until !== undefined) return { since, until, window: true }
  if (cursor === undefined || from === undefined) return {}
  const at = cursor.less(from, lagMs)
  return isAsked(rest) ? { since: at } : { after: at }
}
/** The values of config and partition, and the parameters for these bounds. */
export const askedOf = ({ config, rest, cursor }: Reading, { since, until }: Bounds, fields: AnyRecord = {}): Asked => {
  const { incremental, partitions } = rest
  const values = { ...(config as AnyRecord), ...fields }
  if (cursor === undefined || incremental === undefined || (partitions !== undefined && 'windowMs' in partitions))
    return { values, parameters: [] }
  const { form } = incremental
  return {
    values,
    parameters: [
      ...(since === undefined ? [] : [{ ...incremental.since, value: cursor.sent(since, form) }]),
      ...(until === undefined || incremental.until === undefined
        ? []
        : [{ ...incremental.until, value: cursor.sent(until, form, 'up') }]),
    ],
  }
}

/** Looks at every value of the cursor: what the pass has reached, and what is wanted. */
export const sieve = ({ cursor }: Reading, bounds: Bounds, highest: string | undefined) => {
  const wanted = cursor && within(cursor, bounds)
  return {
    keep: (rows: Rows): Rows =>
      cursor === undefined
        ? rows
        : rows.keep((value) => {
            if (value !== undefined && (highest === undefined || cursor.compare(value, highest) > 0)) highest = value
            return wanted?.(value) ?? true
          }),
    highest: () => highest,
  }
}

const secondMs = 1000
const dayMs = 86_400_000
/**
 * The cursor behind which the next pass begins. Never behind the time at which this one began: what changed while it ran may lie below a value that was
 * seen elsewhere, and one record that is dated into the future would hide all others until then. A second less, as many partners write whole seconds;
 * a day is not over where what has its date is not handed on again.
 */
export const reachedOf = ({ before, cursor, rest }: Reading, { end, highest }: Pass): string | undefined => {
  if (cursor === undefined) return undefined
  const less = cursor.kind === 'date' && !isAsked(rest) ? dayMs : secondMs
  const reached = highest === undefined || end === undefined ? highest : cursor.most(highest, end - less)
  return higher(cursor, before.cursor, reached)
}

/** What holds when a pass is complete. */
export const conclude = (reading: Reading, pass: Pass): State => {
  const { before, cursor, partial, rest } = reading
  if (partial) return before
  if (cursor === undefined) return { rest: 1, done: true }
  const reached = reachedOf(reading, pass)
  const known = rest.partitions !== undefined && 'fields' in rest.partitions ? (pass.finished ?? '') : undefined
  return { rest: 1, ...(reached !== undefined && { cursor: reached }), ...(known !== undefined && { known }) }
}
