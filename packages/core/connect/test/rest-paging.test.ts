import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { isIntegrationError } from '@ecokit/contracts'
import type { RestStream } from '@ecokit/contracts'
import { failure } from './support.ts'
import { declared, openStreams, readAll, serve, slice } from './rest-support.ts'
import type { Asked, Reply } from './rest-support.ts'

const Item = z.object({ id: z.int(), name: z.string() })
const items = (count: number) => Array.from({ length: count }, (_, id) => ({ id, name: `item ${id}` }))

interface Kind {
  readonly rest: Omit<RestStream, 'path'>
  /** The server's side: items of this request. */
  readonly answer: (asked: Asked, all: readonly unknown[]) => Reply
}
const at = (asked: Asked, name: string) => Number(asked.query[name] ?? asked.body[name] ?? 0)
const kinds: Readonly<Record<string, Kind>> = {
  'a token in the query': {
    rest: { records: 'data.items', paging: { kind: 'token', parameter: 'after', next: 'data.next' } },
    answer: (asked, all) => {
      const { next, ...page } = slice(all, at(asked, 'after'), 3)
      return { body: { data: { ...page, next: next === undefined ? null : String(next) } } }
    },
  },
  'a token in the body': {
    rest: {
      method: 'POST',
      body: { filter: { deep: ['{team}'] } },
      records: 'items',
      paging: { kind: 'token', in: 'body', parameter: 'after', next: 'next' },
    },
    answer: (asked, all) => {
      expect(asked.method).toBe('POST')
      expect(asked.body['filter']).toEqual({ deep: ['blue'] })
      expect(typeof asked.body['after']).toBe(asked.body['after'] === undefined ? 'undefined' : 'number')
      return { body: slice(all, at(asked, 'after'), 3) }
    },
  },
  'an offset': {
    rest: { records: 'items', paging: { kind: 'offset', parameter: 'skip', size: 3 } },
    answer: (asked, all) => ({ body: { items: slice(all, at(asked, 'skip'), 3).items } }),
  },
  'an offset without a size': {
    rest: { paging: { kind: 'offset', parameter: 'skip' } },
    answer: (asked, all) => ({ body: slice(all, at(asked, 'skip'), 2).items }),
  },
  'a page number': {
    rest: { paging: { kind: 'page', parameter: 'page' } },
    answer: (asked, all) => ({ body: slice(all, (at(asked, 'page') - 1) * 3, 3).items }),
  },
  'a page number from 0 with a size': {
    rest: { paging: { kind: 'page', parameter: 'page', first: 0, size: 3 } },
    answer: (asked, all) => ({ body: slice(all, at(asked, 'page') * 3, 3).items }),
  },
  'a Link header': {
    rest: { query: { sort: 'id' }, paging: { kind: 'link' } },
    answer: (asked, all) => {
      const { items: body, next } = slice(all, at(asked, 'from'), 3)
      return { body, headers: next === undefined ? {} : { link: `<?sort=id&from=${next}>; rel="next"` } }
    },
  },
  'a URL in the page': {
    rest: { records: 'items', paging: { kind: 'url', next: 'links.next' } },
    answer: (asked, all) => {
      const { items: found, next } = slice(all, at(asked, 'from'), 3)
      return { body: { items: found, links: { next: next === undefined ? '' : `/v2/list?from=${next}` } } }
    },
  },
}

/** How many requests so many records take where a page that is not the last holds `size`: behind a short one is asked once more, unless one before it in the same read was full. */
const asking = (left: number, size: number): number => Math.floor(left / size) + (left > 0 && left < size ? 2 : 1)

describe.each(Object.entries(kinds))('pages by %s', (_name, { rest, answer }) => {
  test.each([0, 1, 2, 3, 4, 6, 7])('%i records are all read, and read on from each checkpoint', async (count) => {
    const all = items(count)
    const { url, asked } = await serve((one) => answer(one, all))
    const list = declared({ schema: Item, primaryKey: ['id'], rest: { path: 'list', ...rest } })
    const connection = openStreams(url, { items: list }, { team: 'blue' })
    const read = await readAll(connection, 'items')
    expect(read.rows).toEqual(all)
    expect(read.encodings.has('records')).toBe(false)
    const { paging } = rest
    const size = paging !== undefined && 'size' in paging ? paging.size : undefined
    const requests = (pages: number, records: number): number =>
      size === undefined || pages === 0 ? pages : asking(records, size)
    expect(asked.length).toBe(requests(read.batches.length, count))
    for (const [index, { checkpoint }] of read.batches.entries()) {
      const before = read.batches.slice(0, index + 1).flatMap(({ rows }) => rows)
      asked.length = 0
      const on = await readAll(connection, 'items', { checkpoint })
      expect([...before, ...on.rows]).toEqual(all)
      expect(asked.length).toBe(requests(read.batches.length - index - 1, count - before.length))
    }
  })
})

const one = (rest: Partial<RestStream>, more: object = {}) => ({
  items: declared({ schema: Item, rest: { path: 'list', records: 'items', ...rest }, ...more }),
})

test('a next page elsewhere is not asked for', async () => {
  const { url, asked } = await serve(() => ({ body: { items: items(1), next: 'https://evil.example/list' } }))
  const connection = openStreams(url, one({ paging: { kind: 'url', next: 'next' } }))
  const error = await failure(() => connection.read?.('items'))
  expect(error).toMatchObject({ code: 'host_not_allowed', details: { host: 'evil.example' } })
  expect(asked.length).toBe(1)
})

test.each([
  ['token', { kind: 'token', parameter: 'after', next: 'next' }, false],
  ['url', { kind: 'url', next: 'url' }, false],
  ['link', { kind: 'link' }, false],
  ['offset', { kind: 'offset', parameter: 'skip' }, true],
  ['page', { kind: 'page', parameter: 'page' }, true],
  ['offset without a key', { kind: 'offset', parameter: 'skip' }, false],
  ['token that is new each time', { kind: 'token', parameter: 'after', next: 'fresh' }, true],
] as const)('a page that is given for ever ends the read: %s', async (_name, paging, keyed) => {
  const { url, asked } = await serve((_asked, count) => ({
    body: { items: items(2), next: 'again', url: '?from=1', fresh: `t${count}` },
    headers: { link: '</list?from=1>; rel=next' },
  }))
  const connection = openStreams(url, one({ paging }, keyed ? { primaryKey: ['id'] } : {}))
  const error = await failure(() => connection.read?.('items'))
  expect(error.code).toBe('invalid_reply')
  expect(asked.length).toBeLessThan(keyed ? 8 : 110)
})

test.each([[true], [false]])(
  'a page that is given for ever ends the read where none of its records fits, before many are put aside (key: %s)',
  async (keyed) => {
    const { url, asked } = await serve(() => ({ body: { items: [{ id: 'x', name: 'a' }, { id: 1.5 }] } }))
    const paging = { kind: 'page', parameter: 'page' } as const
    const connection = openStreams(url, one({ paging }, keyed ? { primaryKey: ['id'] } : {}))
    let aside = 0
    const error = await failure(() => readAll(connection, 'items', { onInvalid: () => (aside += 1) }))
    expect(error.code).toBe('invalid_reply')
    expect(asked.length).toBeLessThan(110)
    expect(aside).toBeGreaterThan(0)
  },
)

test('numbers of 64 bits as token keep their digits', async () => {
  const token = '9007199254740993'
  const { url, asked } = await serve((asked) => ({
    body: asked.query['after'] === undefined ? `{"items":[],"next":${token}}` : { items: items(1) },
  }))
  const connection = openStreams(url, one({ paging: { kind: 'token', parameter: 'after', next: 'next' } }))
  expect((await readAll(connection, 'items')).rows).toEqual(items(1))
  expect(asked[1]?.query['after']).toBe(token)
})

test.each([
  ['token', { kind: 'token', parameter: 'after', next: 'next' }],
  ['offset', { kind: 'offset', parameter: 'after', size: 8 }],
  ['page', { kind: 'page', parameter: 'page', first: 0 }],
] as const)('pages that are too large are asked for with half as many records: %s', async (kind, paging) => {
  const all = items(21).map((item) => ({ ...item, name: 'x'.repeat(item.id === 9 ? 600 : 100) }))
  const { url, asked } = await serve((asked) => {
    const size = at(asked, 'limit')
    return { body: slice(all, kind === 'page' ? at(asked, 'page') * size : at(asked, 'after'), size) }
  })
  const streams = one({ paging, pageSize: { parameter: 'limit', size: 8 }, http: { maxReplyBytes: 800 } })
  const connection = openStreams(url, streams)
  const read = await readAll(connection, 'items')
  expect(read.rows).toEqual(all)
  expect(new Set(asked.map(({ query }) => query['limit']))).toEqual(new Set(['8', '4', '2']))
  for (const [index, { checkpoint }] of read.batches.entries()) {
    const before = read.batches.slice(0, index + 1).flatMap(({ rows }) => rows)
    expect([...before, ...(await readAll(connection, 'items', { checkpoint })).rows]).toEqual(all)
  }
})

test('a token that the partner no longer takes begins the pass again', async () => {
  const all = items(7)
  let epoch = 1
  const { url } = await serve((asked) => {
    const [given = '0', from = '0'] = (asked.query['after'] ?? `${epoch}:0`).split(':')
    if (given !== String(epoch)) return { status: 400, body: { message: 'unknown token' } }
    const { items: found, next } = slice(all, Number(from), 3)
    return { body: { items: found, next: next === undefined ? '' : `${epoch}:${next}` } }
  })
  const connection = openStreams(url, one({ paging: { kind: 'token', parameter: 'after', next: 'next' } }))
  const { batches } = await readAll(connection, 'items')
  epoch = 2
  expect((await readAll(connection, 'items', { checkpoint: batches[0]?.checkpoint })).rows).toEqual(all)
  const stranger = await failure(() => connection.read?.('items', { checkpoint: { of: 'another' } }))
  expect(stranger).toMatchObject({ code: 'invalid_input', details: { field: 'checkpoint' } })
})

test('fields of the config complete path, query, headers and body, encoded; one that is missing is told at once', async () => {
  const { url, asked } = await serve(() => ({ body: { items: [] } }))
  const rest = { path: 'teams/{team}/list', query: { q: 'team:{team}', many: ['{team}', 'b'] } }
  const connection = openStreams(url, one(rest), { team: 'a/b c?' })
  await readAll(connection, 'items')
  expect(asked[0]?.url).toBe('/teams/a%2Fb%20c%3F/list?q=team%3Aa%2Fb%20c%3F&many=a%2Fb%20c%3F&many=b')
  let thrown: unknown
  try {
    openStreams(url, one(rest))
  } catch (error) {
    thrown = error
  }
  expect(isIntegrationError(thrown, 'invalid_config') && thrown.details).toEqual({ field: 'config.team' })
  expect(String(thrown)).toContain('config.team: missing, and the stream items is read with it')
})

test.each([null, false, '', undefined])(
  'the last page says %s where the next address or token would stand',
  async (end) => {
    for (const paging of [
      { kind: 'url', next: 'next' },
      { kind: 'token', parameter: 'after', next: 'next' },
    ] as const) {
      const { url, asked } = await serve((_asked, count) => ({
        body: { items: items(2), next: count === 1 ? '?page=2' : end },
      }))
      const read = await readAll(openStreams(url, one({ paging })), 'items')
      expect(read.rows).toEqual([...items(2), ...items(2)])
      expect(asked.length).toBe(2)
    }
  },
)
