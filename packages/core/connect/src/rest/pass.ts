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

/** Which values of the cursor a pass hands on, from where it goes on. */
export const boundsOf = ({ cursor, rest, pass, lagMs }: Reading, from: string | undefined): Bounds => {
  const { since, until } = pass.window ?? {}
  if (since !== undefined || until !== undefined) return { since, until, window: true }
  if (cursor === undefined || from === undefined) return {}
  const at = cursor.less(from, lagMs)
  const asked = rest.incremental !== undefined || (rest.partitions !== undefined && 'windowMs' in rest.partitions)
  return asked ? { since: at } : { after: at }
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

/** What holds when a pass is complete. */
export const conclude = ({ before, cursor, partial, rest }: Reading, pass: Pass): State => {
  if (partial) return before
  if (cursor === undefined) return { rest: 1, done: true }
  const reached = higher(cursor, before.cursor, pass.highest)
  const known = rest.partitions !== undefined && 'fields' in rest.partitions ? (pass.finished ?? '') : undefined
  return { rest: 1, ...(reached !== undefined && { cursor: reached }), ...(known !== undefined && { known }) }
}
