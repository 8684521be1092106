import { toJson, type ReadOptions, type Reader } from '@ecokit/contracts'
import { onward, type Page } from '@ecokit/protocol-mlflow-rest'
import { z } from 'zod'
import { bound, digest, readCheckpoint } from './checkpoint.ts'
import { batches, resumePage, shrinkingPages, type Sized } from './pages.ts'

const pageSize = 1_000
const sliceSize = 100
const mostRounds = 3

/**
 * Experiments and the registry have no filter that finds every change: tags and aliases move no timestamp (mlflow/store/tracking/sqlalchemy_store.py and
 * store/model_registry/sqlalchemy_store.py). They are short, so they are listed whole each time, a thousand in a request, and of each slice of a hundred a
 * digest is kept: only slices that have changed are handed on.
 */
const state = z.object({
  list: z.literal(1),
  /** Of the last round that reached its end, one for each slice. */
  digests: z.array(z.string()),
  /** The round that is under way: the page to ask for next, and the digests of those before it. */
  pass: z.object({ token: z.string(), digests: z.array(z.string()), round: z.int() }).optional(),
})
type State = z.output<typeof state>

export interface ListedStream<T, Row> {
  readonly name: string
  readonly partner: string
  readonly page: (pageToken: string | undefined, size: number, options: ReadOptions) => Promise<Page<T>>
  readonly record: (item: T) => Row
  /** The value of the stream's cursor, in epoch milliseconds. */
  readonly changedAt: (item: T) => number | undefined
}

/** Reads a list whole and hands on what has changed since the checkpoint. */
export const listReader = <T, Row>(stream: ListedStream<T, Row>): Reader<Row> =>
  async function* (options) {
    const { partner, name, record, changedAt } = stream
    const since = bound(partner, 'since', options.since) ?? -Infinity
    const until = bound(partner, 'until', options.until) ?? Infinity
    const bounded = options.since !== undefined || options.until !== undefined
    const given = options.checkpoint && readCheckpoint(partner, name, state, options.checkpoint)
    const before: State = given ?? { list: 1, digests: [] }
    const within = (item: T): boolean => {
      const at = changedAt(item)
      return !bounded || (at !== undefined && at >= since && at < until)
    }
    const ask = shrinkingPages(pageSize)
    let { digests } = before
    let round = before.pass?.round ?? 1
    let found = before.pass?.digests ?? []
    let token = before.pass?.token
    let pages = token === undefined ? 0 : 1
    let changes = 0
    let onto = onward(partner, name)
    onto(token)
    for (;;) {
      const pageToken = token
      const page = (one: string | undefined) => ask((size) => stream.page(one, size, options))
      const { items, next } = await resumePage(pageToken, page, () => {
        found = []
        pages = 0
      })
      onto(next)
      pages += 1
      const rows: Sized<Row>[] = []
      const marks: string[] = []
      for (let at = 0; at < items.length; at += sliceSize) {
        const slice = items.slice(at, at + sliceSize).map((item) => {
          const row = record(item)
          const text = toJson(row)
          return { row, text, size: text.length, wanted: within(item) }
        })
        const mark = digest(slice.map(({ text }) => text).join())
        const changed = bounded || mark !== digests[found.length + marks.length]
        if (changed) rows.push(...slice.filter(({ wanted }) => wanted))
        marks.push(mark)
      }
      found = [...found, ...marks]
      changes += rows.length
      token = next
      if (token !== undefined) {
        const pass = { token, digests: bounded ? [] : found, round }
        yield* batches(rows, { checkpoint: { list: 1, digests, pass } satisfies State })
        continue
      }
      // A page token is an offset: what is removed while pages are read moves others past it. Another round finds them.
      const again = pages > 1 && !bounded && changes > 0 && round < mostRounds
      const done: State = { list: 1, digests: bounded ? [] : found }
      yield* batches(rows, { checkpoint: done })
      if (!again) return
      digests = found
      found = []
      pages = 0
      changes = 0
      onto = onward(partner, name)
      round += 1
    }
  }
