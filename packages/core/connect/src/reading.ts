import { createHash } from 'node:crypto'
import { integrationError, isIntegrationError } from '@ecokit/contracts'
import type { Batch, Checkpoint } from '@ecokit/contracts'
import type { z } from 'zod'

/** For connectors whose streams are read by code of their own: what such code needs again and again. */
export { onward, walkPages } from '@ecokit/http'
export { placeholders, restFault } from './rest/template.ts'

/** Asks for pages of a size, and from then on for half as much whenever a reply is too large. */
export const shrinkingPages = (largest: number) => {
  let size = largest
  return async <T>(ask: (size: number) => Promise<T>): Promise<T> => {
    for (;;) {
      try {
        return await ask(size)
      } catch (error) {
        if (size === 1 || !isIntegrationError(error, 'too_large')) throw error
        size = Math.ceil(size / 2)
      }
    }
  }
}

/** Goes on at a remembered page; where the partner no longer takes its token (`rejected`, or `not_found`), begins as `again` does. */
export const resumePage = async <T>(
  token: string | undefined,
  ask: (token: string | undefined) => Promise<T>,
  again: () => void = () => {},
): Promise<T> => {
  try {
    return await ask(token)
  } catch (error) {
    const refused = isIntegrationError(error, 'rejected') || isIntegrationError(error, 'not_found')
    if (token === undefined || !refused) throw error
    again()
    return ask(undefined)
  }
}

/** Works on up to `most` items at once and gives the results in the items' own order. When the caller leaves, or one fails, the others are aborted. */
export async function* inOrder<Item, Result>(
  items: Iterable<Item> | AsyncIterable<Item>,
  most: number,
  signal: AbortSignal | undefined,
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
): AsyncGenerator<Result> {
  const leaving = new AbortController()
  const either = signal === undefined ? leaving.signal : AbortSignal.any([signal, leaving.signal])
  const running: Promise<Result>[] = []
  const source = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]()
  const fill = async (): Promise<void> => {
    while (running.length < most) {
      const next = await source.next()
      if (next.done === true) return
      const result = work(next.value, either)
      result.catch(() => undefined) // Told when it is its turn.
      running.push(result)
    }
  }
  try {
    await fill()
    for (let first = running.shift(); first !== undefined; first = running.shift()) {
      const result = await first
      await fill()
      yield result
    }
  } finally {
    leaving.abort()
    await source.return?.()
  }
}

const batchBytes = 2 * 1024 * 1024

/** A record with its size in bytes, more or less. */
export interface Sized<Row> {
  readonly row: Row
  readonly size: number
}

/** Cuts records into batches of some two megabytes; what holds once all are stored comes with the last, which may be empty. */
export function* batches<Row>(
  rows: readonly Sized<Row>[],
  last: { readonly checkpoint: Checkpoint; readonly deleted?: readonly Readonly<Record<string, unknown>>[] },
): Generator<Batch<Row>> {
  let records: Row[] = []
  let bytes = 0
  for (const { row, size } of rows) {
    if (bytes + size > batchBytes && records.length > 0) {
      yield { encoding: 'records', records }
      records = []
      bytes = 0
    }
    records.push(row)
    bytes += size
  }
  yield { encoding: 'records', records, ...last }
}

/** The checkpoint as the stream's own shape; throws `invalid_input` for one that another stream or version wrote. */
export const readCheckpoint = <S extends z.ZodType>(
  partner: string,
  stream: string,
  schema: S,
  checkpoint: Checkpoint,
): z.output<S> => {
  const parsed = schema.safeParse(checkpoint)
  if (parsed.success) return parsed.data
  throw integrationError('invalid_input', {
    partner,
    what: `${stream}: the checkpoint is not one of this stream`,
    next: 'Leave it out, to read everything',
    details: { field: 'checkpoint' },
  })
}

/** A bound of a read in epoch milliseconds; throws `invalid_input` for what is no time. */
export const timeBound = (partner: string, field: 'since' | 'until', value: string | undefined): number | undefined => {
  if (value === undefined) return undefined
  const milliseconds = Date.parse(value)
  if (!Number.isNaN(milliseconds)) return milliseconds
  throw integrationError('invalid_input', {
    partner,
    what: `${field}: "${value}" is no time`,
    next: 'Write it like 2026-01-31T00:00:00Z',
    details: { field },
  })
}

/** 72 bits that stand for a text or bytes: enough to tell whether something has changed. */
export const digest = (content: string | Uint8Array): string =>
  createHash('sha256').update(content).digest('base64').slice(0, 12)

/** Hands on what pages hold, one by one, and stops asking at the limit. */
export async function* each<T, Out>(
  pages: AsyncIterable<readonly T[]>,
  limit: number | undefined,
  map: (item: T) => Out,
): AsyncGenerator<Out> {
  let left = limit ?? Infinity
  for await (const page of pages)
    for (const item of page) {
      yield map(item)
      left -= 1
      if (left <= 0) return
    }
}

/** Records a page: no more than are wanted. */
export const pageFor = (limit: number | undefined, most: number): number => Math.min(limit ?? most, most)
