import fc from 'fast-check'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { stream } from '@ecokit/contracts'
import type { RestStream } from '@ecokit/contracts'
import { openStreams, readAll, serve, slice } from './rest-support.ts'

interface Item {
  readonly name: string
  readonly value: number
}
const schema = z.object({ name: z.string(), value: z.int() })
const listOf = (count: number): Item[] =>
  Array.from({ length: count }, (_, index) => ({ name: `n${index}`, value: index }))
const wire = z.object({ name: z.string(), value: z.int() })
const roads = { bytes: {}, objects: { wire, map: (record: unknown) => record as Item } }

/** A partner whose pages are offsets into a list that `between` may change before each page, and that takes at most `most` items a page. */
const partner = async (
  items: Item[],
  most: number,
  between: (page: number) => void = () => undefined,
  rest: Partial<RestStream> = {},
) => {
  const { url, asked } = await serve(({ query }, count) => {
    between(count)
    const { items: found, next } = slice(items, Number(query['token'] ?? 0), Math.min(Number(query['size']), most))
    return { body: { items: found, ...(next !== undefined && { next: String(next) }) } }
  })
  const declared = stream({
    schema,
    primaryKey: ['name'],
    cursor: 'value',
    rest: {
      path: 'list',
      records: 'items',
      mayLack: true,
      paging: { kind: 'token', parameter: 'token', next: 'next' },
      pageSize: { parameter: 'size', size: 1_000 },
      changes: 'compare',
      ...rest,
    } as RestStream<z.ZodType, Item>,
  })
  const connection = openStreams(url, { things: declared })
  return { read: (options: object = {}) => readAll(connection, 'things', options), asked }
}

test('what stays is never lost, whatever is removed while the pages are read', async () => {
  const items: Item[] = []
  let removals: readonly number[] = []
  let most = 100
  const removed = new Set<string>()
  let page = 0
  const { url } = await serve(({ query }) => {
    const at = (page += 1) > 1 ? removals[page - 2] : undefined
    if (at !== undefined && items.length > 0)
      for (const item of items.splice(at % items.length, 1)) removed.add(item.name)
    const { items: found, next } = slice(items, Number(query['token'] ?? 0), most)
    return { body: { items: found, next: next === undefined ? '' : String(next) } }
  })
  const rest = {
    path: 'l',
    records: 'items',
    paging: { kind: 'token', parameter: 'token', next: 'next' },
    changes: 'compare',
  } as const
  const connection = openStreams(url, { things: stream({ schema, rest }) })
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 900 }),
      fc.integer({ min: 50, max: 250 }),
      fc.array(fc.nat(), { maxLength: 4 }),
      async (count, size, given) => {
        items.splice(0, items.length, ...listOf(count))
        ;[most, removals, page] = [size, given, 0]
        removed.clear()
        const { rows } = await readAll(connection, 'things')
        const names = new Set(rows.map(({ name }) => name))
        expect(listOf(count).filter(({ name }) => !removed.has(name) && !names.has(name))).toEqual([])
      },
    ),
    { numRuns: 100, seed: 3 },
  )
})

test.each(Object.entries(roads))('only slices that have changed are handed on: %s', async (road, rest) => {
  const items = listOf(450)
  const { read } = await partner(items, 200, undefined, rest)
  const first = await read()
  expect(first.rows).toEqual(items)
  expect([...first.encodings]).toEqual([road === 'bytes' ? 'ndjson' : 'records'])
  expect((await read({ checkpoint: first.checkpoint })).rows).toEqual([])
  items[120] = { name: 'n120', value: -1 }
  items.push({ name: 'new', value: 1 })
  const second = await read({ checkpoint: first.checkpoint })
  expect(second.rows).toEqual([...items.slice(100, 200), ...items.slice(400)])
  expect((await read({ checkpoint: second.checkpoint })).rows).toEqual([])
  // A window is read from the whole list, and changes nothing of what is known.
  const window = await read({ checkpoint: second.checkpoint, since: '118', until: '122' })
  expect(window.rows.map(({ value }) => value)).toEqual([118, 119, 121])
  expect(window.checkpoint).toEqual(second.checkpoint)
})

test('a list goes on from each of its checkpoints', async () => {
  const items = listOf(950)
  const { read } = await partner(items, 200)
  const { batches } = await read()
  for (const [at, { checkpoint }] of batches.slice(0, 5).entries()) {
    const before = batches.slice(0, at + 1).flatMap(({ rows }) => rows)
    expect([...before, ...(await read({ checkpoint })).rows]).toEqual(items)
  }
})

test('a page that is too large is asked for in smaller pieces', async () => {
  const items = listOf(700)
  const { read, asked } = await partner(items, 1_000, undefined, { http: { maxReplyBytes: 4_000 } })
  expect((await read()).rows).toEqual(items)
  expect(asked.slice(0, 4).map(({ query }) => query['size'])).toEqual(['1000', '500', '250', '125'])
})

test.each(Object.entries(roads))(
  'large records are cut into batches of some megabytes, with the checkpoint on the last: %s',
  async (_road, rest) => {
    const items = Array.from({ length: 90 }, (_, index) => ({ name: `${index}${'x'.repeat(100_000)}`, value: index }))
    const { batches, rows } = await (await partner(items, 1_000, undefined, rest)).read()
    expect(rows).toEqual(items)
    expect(batches.length).toBeGreaterThan(2)
    expect(batches.map(({ checkpoint }) => checkpoint !== undefined)).toEqual(
      batches.map((_, at) => at === batches.length - 1),
    )
  },
)
