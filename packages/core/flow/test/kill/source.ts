import { defineConnector, int64, stream } from '@ecokit/contracts'
import type { Batch, OpenHttp, ReadOptions } from '@ecokit/contracts'
import { z } from 'zod'

export const logRow = z.object({ id: z.int(), at: z.int(), name: z.string(), big: int64() })
export const itemRow = z.object({ id: z.int(), at: z.int(), name: z.string() })
export const snapRow = z.object({ id: z.int(), version: z.int(), name: z.string() })
const page = z.object({ rows: z.array(z.unknown()), next: z.int() })

type Row<T extends z.ZodType> = Batch<z.input<T>>

/** Pages of records as JSON. */
const readJsonPages = async function* (
  http: OpenHttp,
  url: string,
  { checkpoint, signal }: ReadOptions,
): AsyncIterable<Row<typeof logRow>> {
  let after = typeof checkpoint?.['after'] === 'number' ? checkpoint['after'] : -1
  for (;;) {
    const query = { after: String(after) }
    const { rows, next } = await http(url).json({ method: 'GET', path: 'log', query }, page, { signal })
    if (rows.length === 0) return
    after = next
    yield { encoding: 'records', records: rows as z.input<typeof logRow>[], checkpoint: { after } }
  }
}

/** Pages of NDJSON, handed on as bytes: connect proves each line. */
const readLines = async function* (
  http: OpenHttp,
  url: string,
  path: string,
  start: number,
  signal: AbortSignal | undefined,
): AsyncIterable<Row<z.ZodType> & { readonly checkpoint: { readonly after: number } }> {
  let after = start
  for (;;) {
    const { bytes, headers } = await http(url).bytes(
      { method: 'GET', path, query: { after: String(after) }, effect: 'read' },
      { signal },
    )
    const count = Number(headers.get('x-count'))
    if (count === 0) return
    after = Number(headers.get('x-next'))
    yield { encoding: 'ndjson', bytes, count, checkpoint: { after } }
  }
}

/** The source of the kill proof: an event log, entities that change, and a table that is another one each time. */
export const shop = defineConnector(
  {
    id: 'shop',
    title: 'Shop',
    config: z.strictObject({ url: z.url() }),
    hosts: ['{url}'],
    streams: {
      log: stream({ schema: logRow, primaryKey: ['id'], cursor: 'at' }),
      // Declared: connect reads it, and proves each record in the bytes of its page.
      items: stream({
        schema: itemRow,
        primaryKey: ['id'],
        cursor: 'at',
        rest: {
          base: '{url}',
          path: 'items',
          records: 'rows',
          paging: { kind: 'token', parameter: 'after', next: 'next' },
          incremental: { since: { parameter: 'since' }, form: 'as_is', ordered: true },
        },
      }),
      snap: stream({ schema: snapRow, primaryKey: ['id'] }),
    },
  },
  ({ config: { url }, http }) => ({
    check: () => Promise.resolve({}),
    read: {
      log: (options) => readJsonPages(http, url, options),
      snap: async function* ({ signal }) {
        // Without a checkpoint: a pass over everything starts from the beginning.
        for await (const { checkpoint: _none, ...batch } of readLines(http, url, 'snap', -1, signal))
          yield batch as never
      },
    },
  }),
)
