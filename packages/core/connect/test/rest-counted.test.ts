import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { AnyRecord, Checkpoint, RestStream } from '@ecokit/contracts'
import { failure } from './support.ts'
import { declared, openStreams, readAll, rowsOf, serve } from './rest-support.ts'
import type { Reply } from './rest-support.ts'

const Item = z.object({ id: z.int(), name: z.string() })
const items = (count: number) => Array.from({ length: count }, (_, id) => ({ id, name: `item ${id}` }))

/** What a partner answers behind the end of a list. */
const ends = {
  'an empty page': { body: { items: [] } },
  'no content': { status: 204 },
  '404': { status: 404, body: { message: 'no such page' } },
  '400': { status: 400, body: { message: 'out of range' } },
  'the last page again': 'last',
} as const satisfies Readonly<Record<string, Reply | 'last'>>
type End = (typeof ends)[keyof typeof ends]

type Kind = 'offset' | 'page'
const wanted = 10
const pagingOf = (kind: Kind, size?: number): NonNullable<RestStream['paging']> => ({
  kind,
  parameter: 'at',
  ...(size !== undefined && { size }),
})
const limited = { parameter: 'limit', size: wanted } as const

interface Partner {
  readonly kind: Kind
  /** How many records it gives at most, whatever it is asked for. */
  readonly most: number
  readonly end: End
  /** What it answers instead, where that is anything. */
  readonly instead?: (asked: {
    readonly from: number
    readonly limit: number
    readonly count: number
  }) => Reply | undefined
}
const partner = async (
  all: readonly unknown[],
  { kind, most, end, instead }: Partner,
  rest: Partial<RestStream> = {},
  more: object = { primaryKey: ['id'] },
) => {
  const { url, asked } = await serve(({ query }, count) => {
    const limit = Math.min(Number(query['limit'] ?? wanted), most)
    const at = Number(query['at'])
    const from = kind === 'offset' ? at : (at - 1) * limit
    const other = instead?.({ from, limit, count })
    if (other !== undefined) return other
    if (from < all.length || from === 0) return { body: { items: all.slice(from, from + limit) } }
    if (end !== 'last') return end
    const last = kind === 'offset' ? Math.floor((all.length - 1) / limit) * limit : Math.ceil(all.length / limit) - 1
    return { body: { items: all.slice(kind === 'offset' ? last : last * limit).slice(0, limit) } }
  })
  const list = { path: 'list', records: 'items', paging: pagingOf(kind, wanted), pageSize: limited, ...rest }
  const connection = openStreams(url, { items: declared({ schema: Item, rest: list, ...more }) })
  return { connection, asked, read: (options: object = {}) => readAll(connection, 'items', options) }
}

const kinds = ['offset', 'page'] as const
describe.each(kinds)('a partner that gives fewer than it was asked for loses nothing: %s', (kind) => {
  test.each(Object.entries(ends))('behind the end stands %s', async (name, end) => {
    // Where the last of several pages is as large as the others, nothing says that it was the last; a partner that then tells an error, or the same again, is believed.
    const loud = { 400: 'rejected', 'the last page again': 'invalid_reply' }[name]
    const counts = [0, 1, 3, 4, 5, 7, 9, 10, 11, 23, ...(loud === undefined ? [8, 20] : [])]
    for (const count of counts) {
      const all = items(count)
      const { read, asked } = await partner(all, { kind, most: 4, end })
      expect((await read()).rows).toEqual(all)
      expect(asked.length).toBe(count === 0 ? 1 : Math.ceil(count / 4) + 1)
    }
    for (const count of loud === undefined ? [] : [8, 20]) {
      const { read } = await partner(items(count), { kind, most: 4, end })
      expect((await failure(read)).code).toBe(loud)
    }
  })

  test('the read goes on from each of its checkpoints', async () => {
    for (const end of Object.values(ends)) {
      const all = items(23)
      const { read } = await partner(all, { kind, most: 4, end })
      const { batches } = await read()
      for (const [index, { checkpoint }] of batches.entries()) {
        // A partner that refuses what lies behind the end may refuse what lies deep: a read that begins with the last page does not know, and begins anew.
        const isAnew = end === ends['400'] && index === batches.length - 2
        const before = isAnew ? [] : batches.slice(0, index + 1).flatMap(({ rows }) => rows)
        expect([...before, ...(await read({ checkpoint })).rows]).toEqual(all)
      }
    }
  })

  test('one request more, and only where the list is shorter than one page', async () => {
    for (const [count, requests] of [
      [0, 1],
      [1, 2],
      [9, 2],
      [10, 2],
      [11, 2],
      [19, 2],
      [20, 3],
      [35, 4],
    ] as const) {
      const { read, asked } = await partner(items(count), { kind, most: wanted, end: ends['an empty page'] })
      const { batches, rows } = await read()
      expect(rows).toEqual(items(count))
      expect(asked.length).toBe(requests)
      // What was asked to make sure is nothing that is handed on.
      expect(batches.length).toBe(count < wanted ? 1 : requests)
    }
  })

  test('a list that is compared and shorter than one page is read once', async () => {
    const rest = { changes: 'compare' } as const
    const { read, asked } = await partner(items(5), { kind, most: wanted, end: ends['an empty page'] }, rest)
    const first = await read()
    expect(first.rows).toEqual(items(5))
    expect((await read({ checkpoint: first.checkpoint })).rows).toEqual([])
    expect(asked.length).toBe(4)
  })

  test('pages that are too large are halved without a gap between them', async () => {
    const all = items(40).map((item) => ({ ...item, name: 'x'.repeat(item.id === 17 ? 900 : 50) }))
    const http = { maxReplyBytes: 1_000 }
    const { read, asked } = await partner(all, { kind, most: 8, end: ends['404'] }, { http })
    const { rows, batches } = await read()
    expect(rows).toEqual(all)
    expect(new Set(asked.map(({ query }) => query['limit'])).size).toBeGreaterThan(1)
    for (const [index, { checkpoint }] of batches.entries()) {
      const before = batches.slice(0, index + 1).flatMap((batch) => batch.rows)
      const on = await read({ checkpoint })
      const seen = new Set([...before, ...on.rows].map(({ id }) => id))
      expect([...seen].sort((one, other) => Number(one) - Number(other))).toEqual(all.map(({ id }) => id))
    }
  })

  test('pages of any size, below what was asked for, are read until one is empty', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 12 }), async (sizes) => {
        const all = items(sizes.reduce((sum, size) => sum + size, 0))
        let from = 0
        const parts = sizes.map((size) => all.slice(from, (from += size)))
        let next = 0
        const instead = () => ({ body: { items: parts[next++] ?? [] } })
        const { read } = await partner(all, { kind, most: wanted, end: ends['an empty page'], instead })
        expect((await read()).rows).toEqual(all)
      }),
      { numRuns: 40, seed: 11 },
    )
  })

  test('rows that look the same because their key was left out are not one page', async () => {
    const all = items(7).map(({ id }) => ({ id, name: 'same' }))
    const { read } = await partner(all, { kind, most: 3, end: ends['an empty page'] })
    expect((await read({ columns: ['name'] })).rows).toHaveLength(7)
  })

  test('a partner that counts nothing gives a short list once', async () => {
    for (const more of [{ primaryKey: ['id'] }, {}]) {
      const instead = () => ({ body: { items: items(3) } })
      const { read, asked } = await partner([], { kind, most: wanted, end: 'last', instead }, {}, more)
      expect((await read()).rows).toEqual(items(3))
      expect(asked.length).toBe(2)
    }
  })

  test('what lies too deep for a partner is an error, from each checkpoint, and never the end', async () => {
    const instead = ({ from }: { readonly from: number }) =>
      from >= 12 ? { status: 400, body: { message: 'too deep' } } : undefined
    const { connection, read } = await partner(items(40), { kind, most: 4, end: ends['400'], instead })
    const checkpoints: (Checkpoint | undefined)[] = [undefined]
    const first = await failure(async () => {
      for await (const { checkpoint } of connection.read?.('items') ?? []) checkpoints.push(checkpoint)
    })
    expect(first.code).toBe('rejected')
    expect(checkpoints).toHaveLength(4)
    for (const checkpoint of checkpoints)
      expect((await failure(() => read(checkpoint === undefined ? {} : { checkpoint }))).code).toBe('rejected')
  })

  test('where the page behind a short one fails, the short one was handed on, and the read goes on behind it', async () => {
    let fails = true
    const all = items(7)
    const instead = ({ from }: { readonly from: number }) => (fails && from > 0 ? { status: 503, body: {} } : undefined)
    const { connection, read } = await partner(all, { kind, most: 4, end: ends['an empty page'], instead })
    const rows: unknown[] = []
    let reached: unknown
    const error = await failure(async () => {
      for await (const batch of connection.read?.('items') ?? []) {
        rows.push(...rowsOf(batch))
        reached = batch.checkpoint
      }
    })
    expect(error.code).toBe('unavailable')
    expect(rows).toEqual(all.slice(0, 4))
    fails = false
    expect((await read({ checkpoint: reached })).rows).toEqual(all.slice(4))
  })
})

describe.each(kinds)('a page that is not there is the end behind the first one: %s', (kind) => {
  const without = pagingOf(kind)
  test.each([0, 1, 9, 10, 11, 20, 25])('%i records', async (count) => {
    const all = items(count)
    const rest = { paging: without }
    const { read } = await partner(all, { kind, most: wanted, end: ends['404'] }, rest)
    const { rows, batches } = await read()
    expect(rows).toEqual(all)
    for (const [index, { checkpoint }] of batches.entries()) {
      const before = batches.slice(0, index + 1).flatMap((batch) => batch.rows)
      expect([...before, ...(await read({ checkpoint })).rows]).toEqual(all)
    }
  })

  test('a list that is not there is an error, and so is another refusal behind the first page', async () => {
    const gone = await partner(
      items(3),
      { kind, most: 2, end: ends['404'], instead: () => ends['404'] },
      { paging: without },
    )
    expect((await failure(gone.read)).code).toBe('not_found')
    const refused = await partner(items(3), { kind, most: 2, end: ends['400'] }, { paging: without })
    expect((await failure(refused.read)).code).toBe('rejected')

    let isGone = false
    const instead = ({ from }: { readonly from: number }) => (isGone ? ends[from === 0 ? '404' : '400'] : undefined)
    const { read } = await partner(items(9), { kind, most: 2, end: ends['404'], instead }, { paging: without })
    const { batches } = await read()
    isGone = true
    expect((await failure(() => read({ checkpoint: batches[1]?.checkpoint }))).code).toBe('not_found')
  })
})

test('each part is read to its end where the partner gives fewer than it was asked for', async () => {
  const teams = ['a', 'b', 'c'].map((id) => ({ id }))
  const counts: Readonly<Record<string, number>> = { a: 23, b: 5, c: 0 }
  const { url, asked } = await serve(({ path, query }) => {
    if (path === '/teams') return { body: teams }
    const from = Number(query['at'])
    return { body: items(counts[path.slice(1)] ?? 0).slice(from, from + 4) }
  })
  const connection = openStreams(url, {
    teams: declared({ schema: z.object({ id: z.string() }), rest: { path: 'teams' } }),
    items: declared({
      schema: Item,
      rest: {
        path: '{team}',
        paging: { kind: 'offset', parameter: 'at', size: wanted },
        partitions: { parent: 'teams', fields: { team: 'id' } },
      },
    }),
  })
  const { rows } = await readAll(connection, 'items')
  const byId = (one: AnyRecord, other: AnyRecord) => Number(one['id']) - Number(other['id'])
  expect(rows.toSorted(byId)).toEqual([...items(23), ...items(5)].toSorted(byId))
  expect(asked.filter(({ path }) => path === '/c')).toHaveLength(1)
})
